#!/bin/sh

mkdir -p build/obj; for i in $(seq 100); do : > build/obj/$i.o; done; rm -rf build; find . -name '*.pyc' -delete
