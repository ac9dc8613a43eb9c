#!/usr/bin/env python3
"""Mixed load on a release `shieldx up` for some minutes: good, denied, malformed, features, telemetry, artifacts.

Fails on any answer that is not the one expected, on memory that keeps growing, and on a metric that is declared and has
no sample at the end. Bounded in time and rate, on loopback only. Usage: soak.py PATH-OF-SHIELDX [SECONDS]
"""

import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHIELDX = os.path.abspath(sys.argv[1])
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 600


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One write an answer: two would wait for each other (Nagle, delayed acknowledgement).
    wbufsize = 1 << 16

    def do_GET(self):
        body = b"from the application\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Load:
    """One kind of request in a loop at a bounded rate; counts what came of it."""

    def __init__(self, server, name, per_second, make, expected):
        self.address = server.removeprefix("http://")
        self.name, self.pause, self.make, self.expected = name, 1 / per_second, make, expected
        self.done, self.wrong, self.slowest = 0, [], 0.0

    def run(self, end):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        while time.time() < end:
            method, path, headers, body = self.make()
            begin = time.time()
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status not in self.expected:
                    self.wrong.append((answer.status, path, text[:200]))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append((repr(error), path, b""))
                connection.close()
            self.slowest = max(self.slowest, time.time() - begin)
            self.done += 1
            time.sleep(max(0.0, self.pause - (time.time() - begin)))


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def loads(server, key):
    auth = {"X-API-Key": key}
    as_json = {**auth, "Content-Type": "application/json"}
    number = [0]

    def features():
        rows = [{"entity": f"e{random.randrange(200)}", "event_time": "2026-01-01T00:00:00Z", "values": {"a": random.random()}} for _ in range(50)]
        return "POST", "/v1/features/soak", as_json, json.dumps({"rows": rows})

    def telemetry():
        at, keys = 0.0, []
        for _ in range(30):
            dwell, flight = random.gauss(90, 8), random.gauss(140, 15)
            keys.append({"down_ms": at, "up_ms": at + max(5, dwell)})
            at += max(10, dwell + flight)
        body = {"subject": f"user-{random.randrange(5)}", "keystrokes": keys, "device": {"platform": "Linux"}}
        # A session belongs to one subject.
        return "POST", f"/v1/sessions/{body['subject']}-s/telemetry", as_json, json.dumps(body)

    def artifact():
        number[0] += 1
        body = f"#!/bin/sh\necho {number[0]}\n" if number[0] % 5 else "#!/bin/sh\ncat /etc/shadow\nunshare -r id\n"
        return "POST", "/v1/verifications?file_name=soak.sh", auth, body

    session = {**auth, "X-ShieldX-Session": "user-1-s"}
    return [
        Load(server, "allowed", 100, lambda: ("GET", "/app", auth, None), {200}),
        Load(server, "with a session", 50, lambda: ("GET", "/app", session, None), {200, 401}),
        Load(server, "no key", 20, lambda: ("GET", "/app", {}, None), {401}),
        Load(server, "wrong key", 20, lambda: ("GET", "/v1/verifications", {"X-API-Key": "sx_0000000000000000_0"}, None), {401}),
        Load(server, "path with two readings", 10, lambda: ("GET", "/a/%2e%2e/b", auth, None), {400, 403}),
        Load(server, "malformed JSON", 10, lambda: ("POST", "/v1/features/soak", as_json, "{nope"), {400}),
        Load(server, "not executable", 2, lambda: ("POST", "/v1/verifications?file_name=x", auth, b"\x7fELF\x00garbage"), {422}),
        Load(server, "features", 20, features, {200, 202}),
        Load(server, "latest", 20, lambda: ("GET", "/v1/features/soak/latest?entity=e1", auth, None), {200, 404}),
        Load(server, "telemetry", 10, telemetry, {200, 202}),
        Load(server, "artifacts", 2, artifact, {202}),
        Load(server, "list", 5, lambda: ("GET", "/v1/verifications?limit=20", auth, None), {200}),
    ]


def silent_families(endpoints):
    missing = []
    for service, url in endpoints["internal"].items():
        with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = [line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")]
        for family in re.findall(r"^# TYPE (\S+)", text, re.M):
            if not any(sample.startswith(family) for sample in samples):
                missing.append(f"{service}: {family}")
    return missing


def main():
    folder = tempfile.TemporaryDirectory()
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    settings = os.path.join(folder.name, "shieldx.toml")
    with open(settings, "w") as f:
        f.write('[log]\nfilter = "warn"\n[ingress]\npublic = "127.0.0.1:0"\ninternal = "127.0.0.1:0"\n')
        f.write('[gateway]\naddress = "127.0.0.1:0"\ninternal = "127.0.0.1:0"\n')
        for section in ("contauth", "verifier-pool", "ml-service"):
            f.write(f'[{section}]\naddress = "127.0.0.1:0"\n')
    data = os.path.join(folder.name, "data")
    process = subprocess.Popen(
        [SHIELDX, "up", "--data", data, "--config", settings, "--upstream", f"http://127.0.0.1:{upstream.server_port}"],
        stdout=subprocess.PIPE, text=True)
    while "ready" not in (line := process.stdout.readline()):
        if not line:
            sys.exit("shieldx did not start")
    with open(os.path.join(data, "endpoints.json")) as f:
        endpoints = json.load(f)
    with open(os.path.join(data, "admin.key")) as f:
        key = f.read().strip()
    failed = False
    try:
        all_loads = loads(endpoints["server"], key)
        end = time.time() + SECONDS
        threads = [threading.Thread(target=load.run, args=(end,)) for load in all_loads]
        for thread in threads:
            thread.start()
        memory = []
        while time.time() < end:
            time.sleep(min(10, SECONDS / 10))
            memory.append(rss(process.pid))
            print(f"{len(memory):4}  {memory[-1] // 1024} MiB, load {os.getloadavg()[0]:.1f}", flush=True)
        for thread in threads:
            thread.join()
        for load in all_loads:
            print(f"{load.name:<24} {load.done:>7} requests, {len(load.wrong)} wrong, slowest {load.slowest * 1000:.0f} ms {load.wrong[:2] or ''}")
            failed |= bool(load.wrong)
        half = len(memory) // 2
        first, last = sum(memory[half // 2:half]) / max(1, half - half // 2), sum(memory[-(half // 2 or 1):]) / (half // 2 or 1)
        print(f"memory: second quarter {first / 1024:.0f} MiB, last quarter {last / 1024:.0f} MiB, {last / first:.2f} x")
        failed |= last > first * 1.25 + 20480
        missing = silent_families(endpoints)
        print("metrics declared without a sample:", ", ".join(missing) or "none")
        failed |= bool(missing)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait()
        upstream.shutdown()
    print(f"exit code of shieldx up: {code}")
    sys.exit("FAILED" if failed or code else 0)


main()
