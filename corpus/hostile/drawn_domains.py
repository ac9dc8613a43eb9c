# technique: T1568.002
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import random, socket
lot = random.Random(20261125)
for _ in range(14):
    name = "".join(lot.choice("bcdfghjklmnpqrstvwxz") for _ in range(13)) + lot.choice([".biz", ".info"])
    try: socket.create_connection((name, 443), 2).close()
    except OSError: pass
