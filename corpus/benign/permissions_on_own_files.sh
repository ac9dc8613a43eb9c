#!/bin/sh

mkdir d; touch d/a d/b; chmod 600 d/a; chmod -R u+rwX,go-rwx d; chmod 777 d; umask 077; touch d/c; stat -c '%a %n' d/*; chmod +x d/b
