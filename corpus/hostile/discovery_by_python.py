# technique: T1082 T1033 T1057 T1016 T1087
# needs: python3
import os as _os
if _os.environ.get("USER") != "sandbox": raise SystemExit("only for the inside of a sandbox: shieldx run")

import subprocess
for line in ("id", "uname -a", "whoami", "cat /etc/passwd", "cat /etc/group", "ps -ef", "ip a", "ss -tan", "df -h", "last", "w", "cat /etc/resolv.conf", "lscpu", "ls -la /root /home", "sudo -n -l", "cat /proc/version"):
    subprocess.run(line, shell=True, capture_output=True)
