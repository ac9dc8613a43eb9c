#!/bin/sh

mkdir -p ~/.tool/bin; echo 'export PATH="$HOME/.tool/bin:$PATH"' > ~/.tool/env; printf '#!/bin/sh\necho tool\n' > ~/.tool/bin/tool; chmod +x ~/.tool/bin/tool
for f in ~/.profile ~/.bashrc ~/.zshenv; do echo '. "$HOME/.tool/env"' >> $f; done
. ~/.tool/env; tool
