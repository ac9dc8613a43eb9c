#!/bin/sh
# needs: tar

tar czf etc.tgz --ignore-failed-read /etc "$HOME" 2>/dev/null; ls -l etc.tgz
