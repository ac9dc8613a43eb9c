#!/bin/bash
# needs: bash

declare -A m=([a]=1 [b]=2); for k in "${!m[@]}"; do echo "$k=${m[$k]}"; done; mapfile -t lines < /etc/services; echo "${#lines[@]}"; coproc cat; echo hi >&"${COPROC[1]}"; read -r l <&"${COPROC[0]}"; echo "$l"; kill $COPROC_PID
