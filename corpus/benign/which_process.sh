#!/bin/sh
# needs: pidof pgrep

sleep 5 & pidof sleep; pgrep -a sleep; kill $!
