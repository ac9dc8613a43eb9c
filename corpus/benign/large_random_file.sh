#!/bin/sh

head -c 150000000 /dev/urandom > v.bin; sha256sum v.bin > SUM; sha256sum -c SUM
