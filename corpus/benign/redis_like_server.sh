#!/bin/sh
# needs: python3
# net: loopback

python3 - <<'EOF'
import socket, threading
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
def serve():
    c, _ = s.accept(); c.sendall(b"+" + c.recv(64)); c.close()
threading.Thread(target=serve).start()
c = socket.create_connection(s.getsockname()); c.sendall(b"PING\r\n"); print(c.recv(64))
EOF
