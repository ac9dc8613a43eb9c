#!/bin/sh
# needs: gpg

export GNUPGHOME="$PWD/g"; mkdir -m 700 g; echo hi > f
gpg --batch --quiet --passphrase '' --quick-generate-key demo@example.com ed25519 sign 1d && gpg --batch --armor --detach-sign f && gpg --verify f.asc f; gpgconf --kill all
