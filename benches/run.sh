#!/bin/sh
# Builds the release binary and measures it: one run beside bwrap and strace, the services beside nginx, each in one
# interleaved run. By hand, on a quiet machine: `cargo xtask bench`. Prints Markdown for docs/benchmarks.md.
# Needs cc and python3; bwrap and strace are left out, aloud, where they are missing. The services need nginx and wrk.
# benches/sandbox.py (all runners beside more tools) and benches/soak.py (minutes of mixed load) are run by themselves.
set -eu
cd "$(dirname "$0")/.."
cargo build --release
target="${CARGO_TARGET_DIR:-target}"
# Objectives: a thousand of them over a month, and what it costs to count, beside prometheus-client and metrics.
cargo bench -p slo --bench history
cargo bench -p runtime --bench counters
python3 benches/compare.py "$target/release/shieldx"
if command -v nginx >/dev/null && command -v wrk >/dev/null; then
    exec python3 benches/services.py "$target/release/shieldx"
fi
echo "nginx or wrk is missing: the services are left out" >&2
