#!/bin/sh
# needs: python3

python3 - <<'EOF'
import hashlib, os
key = hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 10000, 64)
text = open("/etc/services", "rb").read()
open("services.enc", "wb").write(bytes(b ^ key[i % 64] for i, b in enumerate(text)))
EOF
