"""Measures shieldx beside bwrap and strace in one interleaved run and prints Markdown.

One machine, one moment: only ratios between rows of one run mean something. Every round runs
every candidate once, in an order that rotates, so that a slow minute hits all of them alike.
"""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

LOAD_MAX = float(os.environ.get("LOAD_MAX", "1.5"))
START_ROUNDS = int(os.environ.get("START_ROUNDS", "60"))
WORK_ROUNDS = int(os.environ.get("WORK_ROUNDS", "10"))
# A read and a write of one byte each: 400,000 calls.
DD = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000", "status=none"]
BWRAP = [
    "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session",
    "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--ro-bind", "/", "/",
    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/root",
]

ISOLATION = """\
| wall | bwrap as called here | shieldx run |
|---|---|---|
| namespaces | user, mount, pid, ipc, uts, net, cgroup | the same |
| root | the host's, bound read-only | the host's below an overlay in memory; changes are listed and hashed |
| hidden | /root, /tmp | homes, /tmp, /run, secrets |
| capabilities, new privileges | none | none |
| seccomp | none (it takes a filter from outside) | allow-list |
| Landlock, cgroup limits, rlimits | none | as `shieldx doctor` says |
| record and verdict | none | yes, except in the row without monitor |
"""


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def interleave(rounds, candidates, measure):
    times = {name: [] for name, _ in candidates}
    for round_number in range(rounds):
        shift = round_number % len(candidates)
        for name, command in candidates[shift:] + candidates[:shift]:
            times[name].append(measure(command))
    return times


def wall(command):
    start = time.perf_counter_ns()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    took = time.perf_counter_ns() - start
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return took


def inside(command):
    """The time that the stopwatch, which runs inside, tells on standard error."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    for line in done.stderr.decode(errors="replace").splitlines():
        if line.startswith("STOPWATCH "):
            return int(line.split()[1])
    sys.exit(f"{command} told no time ({done.returncode}): {done.stderr.decode(errors='replace')}")


def table(title, times, base):
    print(f"\n### {title}\n")
    print("| | min ms | p50 ms | p95 ms | min, × the first | p50, × the first |")
    print("|---|---|---|---|---|---|")
    first_min, first_p50 = min(times[base]), percentile(times[base], 0.5)
    for name, values in times.items():
        low, mid, high = min(values), percentile(values, 0.5), percentile(values, 0.95)
        print(f"| {name} | {low / 1e6:.1f} | {mid / 1e6:.1f} | {high / 1e6:.1f} "
              f"| {low / first_min:.2f} | {mid / first_p50:.2f} |")


def counters(shieldx, command):
    """What the monitor counted in one more run of the same command."""
    done = subprocess.run([shieldx, "run", "--json", "--", *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    evidence = json.loads(done.stdout)["verdict"]["evidence"]
    books = evidence["counters"]
    return (f"{evidence['level']}, tier {evidence['tier']}: {books['seen']} seen = "
            f"{books['received']} received + {books['dropped']} dropped + "
            f"{books['aggregated']} aggregated")


def source(functions):
    """A C file that takes the compiler a second or two."""
    body = "".join(
        f"int f{n}(int a, int b) {{ int s = {n}; for (int i = 0; i < a; i++) "
        f"{{ s += i * b ^ (s >> {n % 7 + 1}); if (s & {n + 1}) s -= b; }} return s; }}\n"
        for n in range(functions)
    )
    calls = " + ".join(f"f{n}({n}, 3)" for n in range(functions))
    return body + f"int main(void) {{ return ({calls}) & 1 ? 0 : 0; }}\n"


def main():
    shieldx = str(pathlib.Path(sys.argv[1]).resolve())
    load = os.getloadavg()[0]
    if load > LOAD_MAX:
        sys.exit(f"load is {load:.2f}, over {LOAD_MAX}: figures would mean nothing")
    here = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        folder = pathlib.Path(folder)
        subprocess.run(["cc", "-O2", "-o", "stopwatch", str(here / "stopwatch.c")],
                       check=True)
        (folder / "big.c").write_text(source(1200))
        true = shutil.which("true")
        report = ["--quiet", "--report", str(folder / "report.json")]
        run = [shieldx, "run", *report]
        bwrap = shutil.which("bwrap") is not None
        strace = shutil.which("strace") is not None
        for name, there in (("bwrap", bwrap), ("strace", strace)):
            if not there:
                print(f"SKIP {name}: not installed", file=sys.stderr)

        starts = [(f"bwrap {true}", [*BWRAP, "--", true])] if bwrap else []
        starts += [
            ("shieldx, no monitor", [*run, "--monitor", "off", "--", true]),
            ("shieldx, tier B, report written", [*run, "--", true]),
            ("shieldx, tier C, report written", [*run, "--monitor", "notify", "--", true]),
            ("bare", [true]),
        ]
        started = interleave(START_ROUNDS, starts, wall)

        def work(command):
            watched = ["./stopwatch", *command]
            rows = [
                ("bare", watched),
                ("shieldx, no monitor", [*run, "--monitor", "off", "--", *watched]),
                ("shieldx, tier B", [*run, "--", *watched]),
                ("shieldx, tier C", [*run, "--monitor", "notify", "--", *watched]),
            ]
            if strace:
                rows.append(("strace -f", ["strace", "-f", "-o", "/dev/null", *watched]))
            return rows

        compile_line = ["cc", "-O2", "-o", "big", "big.c"]
        dd = interleave(WORK_ROUNDS, work(DD), inside)
        compiled = interleave(WORK_ROUNDS, work(compile_line), inside)
        end_load = os.getloadavg()[0]

        print(f"Command: `cargo xtask bench`. {platform.system()} {platform.release()}, "
              f"{os.cpu_count()} cores, load {load:.2f} before and {end_load:.2f} after "
              f"(the benchmark itself is one of it). {START_ROUNDS} rounds of starts, "
              f"{WORK_ROUNDS} of each workload, interleaved.")
        table(f"Start to end of `{true}`, wall clock of the whole command", started,
              starts[0][0])
        print()
        print(ISOLATION)
        table("dd with blocks of one byte (400,000 calls), time inside", dd, "bare")
        print(f"\nBooks of one such run: {counters(shieldx, DD)}.")
        table("Compiling a C file of 1,200 functions with -O2, time inside", compiled, "bare")
        print(f"\nBooks of one such run: {counters(shieldx, compile_line)}.")


main()
