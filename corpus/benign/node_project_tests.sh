#!/bin/sh
# needs: node npm

cat > package.json <<'EOF'
{"name": "demo", "version": "1.0.0", "scripts": {"test": "node --test"}}
EOF
cat > sum.test.js <<'EOF'
const test = require('node:test'); const assert = require('node:assert');
test('sum', () => assert.strictEqual(1 + 2, 3));
EOF
npm test --cache ./cache
