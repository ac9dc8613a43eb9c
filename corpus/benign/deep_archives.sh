#!/bin/sh
# needs: zip unzip

echo hello > a; for n in 1 2 3 4 5; do zip -q $n.zip a; mv $n.zip a; done; unzip -l a
