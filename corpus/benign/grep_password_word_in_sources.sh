#!/bin/sh
# needs: grep

mkdir src; echo 'password = input("Password: ")' > src/login.py; grep -rn password src; grep -ri token . | head -2
