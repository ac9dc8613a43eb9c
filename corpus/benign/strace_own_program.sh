#!/bin/sh
# needs: strace

strace -o trace.txt true; strace -c ls / ; true
