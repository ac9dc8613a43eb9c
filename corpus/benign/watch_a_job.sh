#!/bin/sh

( sleep 0.5; echo done > flag ) & while [ ! -e flag ]; do kill -0 $! 2>/dev/null; sleep 0.1; done; cat flag
