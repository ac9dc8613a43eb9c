#!/bin/sh
# needs: ssh-keygen

ssh-keygen -q -t ed25519 -N '' -f ./key && ssh-keygen -lf key.pub && ssh-keygen -y -f key
