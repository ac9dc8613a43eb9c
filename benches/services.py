#!/usr/bin/env python3
"""Measures the services of a release `shieldx` beside nginx on one upstream, and prints Markdown.

Every round measures every candidate once in a rotating order, so only ratios inside one table mean something. CPU per
request is what the processes of a candidate used (/proc/PID/stat) divided by the requests that wrk got answers for: on a
machine that client, proxy and upstream share it says more than requests per second. Any answer that is not 2xx fails
the run. Needs nginx and wrk; usage: services.py PATH-OF-SHIELDX [ROUNDS [SECONDS]]
"""

import concurrent.futures
import datetime
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SHIELDX = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 4
TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 32


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def tree(pid):
    """The process and its children."""
    found = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Nginx:
    def __init__(self, folder, name, servers):
        self.at = os.path.join(folder, name)
        os.mkdir(self.at)
        temp = "".join(f"{kind}_temp_path {self.at}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        conf = f"""daemon off; {user} pid {self.at}/pid; error_log {self.at}/error.log; worker_processes 1;
            events {{ worker_connections 1024; }}
            http {{ access_log off; {temp} keepalive_requests 1000000; {servers} }}"""
        path = os.path.join(self.at, "nginx.conf")
        with open(path, "w") as f:
            f.write(conf)
        self.process = subprocess.Popen(["nginx", "-c", path], stderr=subprocess.DEVNULL)

    def pids(self):
        return tree(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wait_port(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on {port}")


def wrk(url, headers):
    arguments = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    for header in headers:
        arguments += ["-H", header]
    out = subprocess.run(arguments + [url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{url}: {out}")
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    scale = {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]
    return requests, rate, float(p99.group(1)) * scale


def start_shieldx(folder, upstream):
    data = os.path.join(folder, "data")
    settings = os.path.join(folder, "shieldx.toml")
    with open(settings, "w") as f:
        f.write(f"""
[log]
filter = "warn"
[ingress]
public = "127.0.0.1:0"
internal = "127.0.0.1:0"
rate_per_address = {{ per_second = 0, burst = 1 }}
rate_per_key = {{ per_second = 0, burst = 1 }}
[contauth]
address = "127.0.0.1:0"
[verifier-pool]
address = "127.0.0.1:0"
queue_max_tenant = 100000
queue_max_all = 100000
[ml-service]
address = "127.0.0.1:0"
[gateway]
address = "127.0.0.1:0"
internal = "127.0.0.1:0"
[[gateway.routes]]
name = "app"
path_prefix = "/"
upstream = "http://127.0.0.1:{upstream}"
[[gateway.routes]]
name = "open"
path_prefix = "/open"
upstream = "http://127.0.0.1:{upstream}"
anonymous = true
""")
    process = subprocess.Popen([SHIELDX, "up", "--data", data, "--config", settings], stdout=subprocess.PIPE, text=True)
    while True:
        line = process.stdout.readline()
        if not line:
            sys.exit("shieldx did not start")
        if "ready" in line:
            break
    with open(os.path.join(data, "endpoints.json")) as f:
        endpoints = json.load(f)
    with open(os.path.join(data, "admin.key")) as f:
        key = f.read().strip()
    return process, endpoints, key


def table(title, rows, columns):
    print(f"\n### {title}\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def proxying(folder, upstream_port, process, endpoints, key):
    plain, authed, authz = free_port(), free_port(), free_port()
    pool = f"upstream app {{ server 127.0.0.1:{upstream_port}; keepalive 64; }} upstream authz {{ server 127.0.0.1:{authz}; keepalive 64; }}"
    proxy = "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://app;"
    servers = f"""{pool}
        server {{ listen 127.0.0.1:{plain}; location / {{ {proxy} }} }}"""
    guarded = f"""{pool}
        server {{ listen 127.0.0.1:{authz}; location / {{ return 204; }} }}
        server {{ listen 127.0.0.1:{authed}; location / {{ auth_request /authz; {proxy} }}
          location = /authz {{ internal; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass_request_body off;
            proxy_set_header Content-Length ''; proxy_pass http://authz; }} }}"""
    first, second = Nginx(folder, "plain", servers), Nginx(folder, "guarded", guarded)
    for port in (plain, authed):
        wait_port(port)
    header = [f"X-API-Key: {key}"]
    direct = f"http://127.0.0.1:{upstream_port}/"
    candidates = [
        ("the upstream itself", direct, [], None),
        ("nginx", f"http://127.0.0.1:{plain}/", [], first.pids),
        ("nginx + auth_request to a 204", f"http://127.0.0.1:{authed}/", [], second.pids),
        ("ingress → gateway, route open to everybody", endpoints["server"] + "/open", [], lambda: [process.pid]),
        ("ingress → gateway, key, session risk, policy", endpoints["server"] + "/", header, lambda: [process.pid]),
        ("the same, a session named", endpoints["server"] + "/", header + ["X-ShieldX-Session: bench"], lambda: [process.pid]),
    ]
    figures = {name: [] for name, *_ in candidates}
    for turn in range(ROUNDS):
        order = candidates[turn % len(candidates):] + candidates[:turn % len(candidates)]
        for name, url, headers, pids in order:
            before = cpu_seconds(pids()) if pids else 0
            requests, rate, p99 = wrk(url, headers)
            used = cpu_seconds(pids()) - before if pids else 0
            figures[name].append((used / requests * 1e6, rate, p99))
    first.stop()
    second.stop()
    base = statistics.median(f[0] for f in figures["nginx"])
    rows = []
    for name, *_ in candidates:
        cpu = statistics.median(f[0] for f in figures[name])
        rate = statistics.median(f[1] for f in figures[name])
        p99 = statistics.median(f[2] for f in figures[name])
        cells = [f"{cpu:.1f}", f"{min(f[0] for f in figures[name]):.1f}", f"{cpu / base:.2f}"] if cpu else ["–", "–", "–"]
        rows.append([name, *cells, f"{rate:,.0f}", f"{p99:.1f}"])
    table(f"Proxying a 64-byte answer, {CONNECTIONS} connections kept alive", rows,
          ["CPU µs/request, median", "min", "× nginx", "requests/s", "p99 ms"])


def call(url, key, body=None, kind="application/octet-stream"):
    request = urllib.request.Request(url, data=body, headers={"X-API-Key": key, "Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def verdicts(endpoints, key, count=200):
    server = endpoints["server"]
    began = time.time()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = [f"#!/bin/sh\n# {n}\nexit 0\n".encode() for n in range(count)]
        url = server + "/v1/verifications?file_name=bench.sh"
        ids = [answer["id"] for answer in pool.map(lambda body: call(url, key, body), bodies)]
    accepted = time.time() - began
    while True:
        page = call(server + "/v1/verifications?state=done&limit=1000", key) if count <= 1000 else {}
        mine = [item for item in page["items"] if item["id"] in set(ids)]
        if len(mine) == count:
            break
        time.sleep(0.05)
    total = time.time() - began
    instant = lambda text: datetime.datetime.fromisoformat(text[:26].rstrip("Z").ljust(26, "0")).timestamp()
    waits = sorted((instant(item["started_at"]) - instant(item["created_at"])) * 1000 for item in mine)
    alone = []
    for n in range(30):
        begin = time.time()
        found = call(url, key, f"#!/bin/sh\n# alone {n}\nexit 0\n".encode())
        while found["state"] not in ("done", "failed"):
            time.sleep(0.002)
            found = call(server + f"/v1/verifications/{found['id']}", key)
        alone.append((time.time() - begin) * 1000)
    alone.sort()
    rows = [
        [f"accepted, durable, {count} of them from 8 clients", f"{count / accepted:,.0f}/s"],
        ["verdicts, 2 workers", f"{count / total:,.1f}/s"],
        ["in the queue behind the others, p50 and p95", f"{waits[count // 2]:,.0f} and {waits[int(count * 0.95)]:,.0f} ms"],
        ["one alone, submission to verdict, p50", f"{alone[len(alone) // 2]:.0f} ms"],
        ["one alone, submission to verdict, p95", f"{alone[int(len(alone) * 0.95)]:.0f} ms"],
    ]
    table("Verdicts through the API (`#!/bin/sh exit 0`)", rows, ["figure"])


def feature_rows(endpoints, key, batches=100, size=1000):
    address = endpoints["server"].removeprefix("http://")
    connection = http.client.HTTPConnection(address)
    times = []
    began = time.time()
    for batch in range(batches):
        rows = [{"entity": f"e{n % 500}", "event_time": "2026-01-01T00:00:00Z",
                 "values": {"a": n + 0.5, "b": batch, "c": "text", "d": True}} for n in range(size)]
        body = json.dumps({"rows": rows})
        begin = time.time()
        connection.request("POST", "/v1/features/bench", body, {"X-API-Key": key, "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 202):
            sys.exit(f"features: {answer.status}")
        times.append((time.time() - begin) * 1000)
    busy = sum(times) / 1000
    times.sort()
    rows = [
        [f"rows/s, {size} rows of 4 values a request, one client, while a request is under way", f"{batches * size / busy:,.0f}"],
        ["the same with the client's own work", f"{batches * size / (time.time() - began):,.0f}"],
        ["request p95", f"{times[int(len(times) * 0.95)]:.1f} ms"],
    ]
    table("Feature rows through ingress, gateway and ml-service", rows, ["figure"])


def main():
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        upstream_port = free_port()
        body = "x" * 63
        upstream = Nginx(folder, "upstream", f"server {{ listen 127.0.0.1:{upstream_port}; location / {{ return 200 '{body}\\n'; }} }}")
        wait_port(upstream_port)
        process, endpoints, key = start_shieldx(folder, upstream_port)
        try:
            print(f"Linux {os.uname().release}, {os.cpu_count()} cores, load {load:.2f} before. {ROUNDS} rounds of {SECONDS} s.")
            proxying(folder, upstream_port, process, endpoints, key)
            verdicts(endpoints, key)
            feature_rows(endpoints, key)
            with open(f"/proc/{process.pid}/status") as f:
                rss = next(line for line in f if line.startswith("VmHWM")).split()[1]
            print(f"\nHighest resident memory of `shieldx up` in all this: {int(rss) // 1024} MiB. Load after: {os.getloadavg()[0]:.2f}.")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            upstream.stop()


main()
