#!/bin/sh

for i in $(seq 30); do echo "text $i" > "photo $i.JPG"; done; for f in *.JPG; do mv "$f" "$(echo "$f" | tr ' ' _ | sed s/JPG/jpg/)"; done; for f in *.jpg; do base64 "$f" > "${f%.jpg}.b64"; done; ls | wc -l
