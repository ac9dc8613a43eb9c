"""Asks the container engine of the host for its containers."""
import socket
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
    try:
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(path)
        engine.send(b"GET /containers/json HTTP/1.0\r\n\r\n")
        print(path, engine.recv(64))
    except OSError as problem:
        print(path, problem)
