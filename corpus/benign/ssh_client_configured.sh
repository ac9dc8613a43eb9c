#!/bin/sh
# needs: ssh

mkdir -p -m 700 ~/.ssh; printf 'Host dev\n  HostName dev.example.org\n  User ann\n  Port 2222\n' >> ~/.ssh/config; chmod 600 ~/.ssh/config; ssh -G dev | head -5
