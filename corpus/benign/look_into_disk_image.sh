#!/bin/sh
# needs: mkfs.ext4 debugfs

mkdir d; echo hi > d/a; truncate -s 8M d.img; mkfs.ext4 -q -d d d.img; debugfs -R 'ls -l' d.img
