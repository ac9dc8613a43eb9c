#!/bin/sh
# needs: gzip

dd if=/dev/zero of=d.img bs=1M count=80 status=none; gzip -k d.img; zcat d.img.gz | cmp - d.img
