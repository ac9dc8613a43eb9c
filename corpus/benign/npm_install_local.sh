#!/bin/sh
# needs: npm node
# options: --timeout 120s

mkdir dep app
echo '{"name": "dep", "version": "1.0.0", "main": "index.js", "scripts": {"postinstall": "node -p 40+2"}}' > dep/package.json
echo 'module.exports = 42' > dep/index.js
echo '{"name": "app", "version": "1.0.0"}' > app/package.json
cd dep && npm pack --silent --cache ../cache && mv dep-1.0.0.tgz .. && cd ../app
npm install --no-audit --no-fund --offline --cache ../cache ../dep-1.0.0.tgz
node -e 'console.log(require("dep"))'
