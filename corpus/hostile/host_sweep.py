# technique: T1018 T1046
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import socket
for host in range(1, 80):
    for port in (22, 445):
        s = socket.socket(); s.settimeout(0.05)
        s.connect_ex((f"10.7.0.{host}", port)); s.close()
