#!/bin/sh
# needs: openssl

seq 1000 > secret.txt; openssl enc -aes-256-cbc -pbkdf2 -k pw -in secret.txt -out secret.enc && rm secret.txt
