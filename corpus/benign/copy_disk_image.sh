#!/bin/sh

dd if=/dev/zero of=disk.img bs=1M count=20 2>/dev/null; mkfs.ext4 -q -F disk.img 2>/dev/null || true; file disk.img 2>/dev/null; cp --sparse=always disk.img copy.img; cmp disk.img copy.img
