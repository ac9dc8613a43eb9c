#!/bin/sh
# Builds the release binary and measures it beside bwrap and strace, all in one interleaved run.
# By hand, on a quiet machine: `cargo xtask bench`. Prints Markdown for docs/benchmarks.md.
# Needs cc and python3; bwrap and strace are left out, aloud, where they are missing.
set -eu
cd "$(dirname "$0")/.."
cargo build --release
target="${CARGO_TARGET_DIR:-target}"
exec python3 benches/compare.py "$target/release/shieldx"
