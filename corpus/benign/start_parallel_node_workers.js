const { Worker } = require('worker_threads');
for (let i = 0; i < 4; i++) {
  new Worker('require("worker_threads").parentPort.postMessage(1)', { eval: true }).on('message', (m) => console.log(m));
}
