#!/bin/sh
# technique: T1552.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat "$HOME/.aws/credentials" "$HOME/.config/gcloud/credentials.db" "$HOME/.azure/accessTokens.json" "$HOME/.kube/config" "$HOME/.docker/config.json" "$HOME/.netrc" "$HOME/.git-credentials" "$HOME/.npmrc" "$HOME/.pypirc"
