# technique: T1040
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import socket
for family, kind, protocol in ((17, 3, 0x0300), (2, 3, 6)):
    try: socket.socket(family, kind, protocol).recv(1)
    except OSError as error: print(error)
import subprocess
for tool in (["tcpdump", "-c", "1", "-i", "lo"], ["tshark", "-c", "1"]):
    try: subprocess.run(tool, timeout=2)
    except (OSError, subprocess.TimeoutExpired): pass
