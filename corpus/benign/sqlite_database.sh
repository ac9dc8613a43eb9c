#!/bin/sh
# needs: sqlite3

sqlite3 d.db 'create table t (a int, b text); insert into t select value, hex(randomblob(20)) from generate_series(1, 5000); create index i on t (a); select count(*) from t; vacuum;' || sqlite3 d.db 'create table t (a); insert into t values (1); select * from t'
