# technique: T1552.001
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import glob, os
home = os.path.expanduser("~")
found = {}
for name in (".aws/credentials", ".ssh/id_rsa", ".ssh/id_ed25519", ".netrc", ".git-credentials", ".kube/config", ".docker/config.json", ".config/gh/hosts.yml"):
    try: found[name] = open(os.path.join(home, name), "rb").read()
    except OSError: pass
print(sorted(found))
