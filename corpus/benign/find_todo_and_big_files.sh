#!/bin/sh
# needs: find du

find "$HOME" -size +1M 2>/dev/null; du -ah . | sort -h | tail -5; find / -xdev -size +50M 2>/dev/null | head -5
