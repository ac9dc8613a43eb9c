#!/bin/sh
# needs: rustc

printf 'fn main() { println!("hello"); }\n' > h.rs
rustc -O -o h h.rs && ./h
