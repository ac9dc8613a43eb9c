#!/bin/sh

mkdir -p "$HOME/bin" "$HOME/.local/bin"; printf '#!/bin/sh\necho my tool\n' > "$HOME/.local/bin/tool"; chmod +x "$HOME/.local/bin/tool"; "$HOME/.local/bin/tool"; ln -s ../.local/bin/tool "$HOME/bin/t"; "$HOME/bin/t"
