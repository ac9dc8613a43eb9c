#!/bin/sh
# needs: openssl

openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=demo -days 1 && openssl x509 -in c.pem -noout -text | head -5; openssl verify -CAfile c.pem c.pem
