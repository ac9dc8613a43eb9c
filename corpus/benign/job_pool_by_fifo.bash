#!/bin/bash

f=$(mktemp -u); mkfifo "$f"; exec 3<>"$f"; rm "$f"; for i in 1 2 3; do echo >&3; done
for j in $(seq 12); do read -ru3; { sleep 0.05; echo "job $j"; echo >&3; } & done; wait
