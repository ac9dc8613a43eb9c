#!/bin/bash
# technique: T1070.003 T1690
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

unset HISTFILE; export HISTFILE=/dev/null; export HISTSIZE=0; export HISTFILESIZE=0; set +o history; bash -i -c 'unset HISTFILE; export HISTCONTROL=ignorespace; id; history -c' </dev/null
