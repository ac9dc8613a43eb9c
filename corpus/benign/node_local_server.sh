#!/bin/sh
# needs: node
# net: loopback

node -e '
const http = require("http");
const s = http.createServer((q, r) => r.end("hi")).listen(0, "127.0.0.1", () =>
  http.get({ host: "127.0.0.1", port: s.address().port }, r => { r.pipe(process.stdout); r.on("end", () => s.close()); }));'
