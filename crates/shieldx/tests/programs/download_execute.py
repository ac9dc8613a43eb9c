"""Fetches a program over HTTP from the sandbox's own loopback and runs it."""
import http.server, os, subprocess, threading, urllib.request

class Stage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"#!/bin/sh\necho stage two\n")

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Stage)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d/stage2" % server.server_address[1]
# A fetch by a process of its own, as a dropper does it.
fetch = "import sys, urllib.request; open('stage2', 'wb').write(urllib.request.urlopen(sys.argv[1]).read())"
subprocess.check_call([os.sys.executable, "-c", fetch, url])
os.chmod("stage2", 0o755)
subprocess.check_call(["./stage2"])
