# technique: T1090.003 T1090
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import socket
for port in (9050, 9150):
    try:
        s = socket.create_connection(("127.0.0.1", port), 2)
        s.sendall(b"\x05\x01\x00"); s.recv(2)
    except OSError: pass
try: socket.getaddrinfo("expyuzz4wqqyqhjn.onion", 80)
except OSError: pass
