#!/bin/sh
# needs: initdb
# options: --timeout 120s

initdb -D data -A trust -U demo >init.log 2>&1 || true; tail -3 init.log; ls data 2>/dev/null | head -3
