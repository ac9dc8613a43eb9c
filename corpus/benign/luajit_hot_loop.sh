#!/bin/sh
# needs: luajit

luajit -e 'local s = 0; for i = 1, 1e8 do s = s + i % 7 end; print(s)'
