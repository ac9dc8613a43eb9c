#!/bin/sh
# needs: node git

node -e '
const { execSync, spawn, fork } = require("child_process");
console.log(execSync("git --version").toString());
const child = spawn("cat"); child.stdout.pipe(process.stdout); child.stdin.end("through a pipe\n");'
