#!/bin/sh
# needs: chromium
# options: --timeout 60s

chromium --version 2>&1 | head -1
