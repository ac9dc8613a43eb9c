#!/bin/sh
# needs: tar

mkdir payload; echo hello > payload/readme; tar czf p.tgz payload
{ printf '#!/bin/sh\nsed "1,/^__END__$/d" "$0" | tar xz -C out\nexit 0\n__END__\n'; cat p.tgz; } > install.run
chmod +x install.run; mkdir out; ./install.run; cat out/payload/readme
