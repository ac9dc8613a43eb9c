#!/bin/sh

for i in 1 2 3 4; do (sleep 0.2; echo $i) & done; wait; sleep 30 & kill $!; timeout 0.2 sleep 5; nohup true
