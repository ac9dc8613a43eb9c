#!/bin/sh
# needs: initdb psql
# net: loopback
# options: --timeout 150s

for d in /usr/lib/postgresql/*/bin; do PATH="$d:$PATH"; done
initdb -D data -A trust -U demo --no-sync >init.log 2>&1 && pg_ctl -D data -w -o "-k $PWD -c listen_addresses=127.0.0.1 -p 54321" -l log start &&
psql -h 127.0.0.1 -p 54321 -U demo -d postgres -c 'create table t (a int); insert into t select generate_series(1, 1000); select sum(a) from t' && pg_ctl -D data -m fast stop; tail -2 log; true
