#!/bin/sh

printf 'API_URL=http://127.0.0.1\nDEBUG=1\n' > .env; set -a; . ./.env; set +a; env | grep API_URL; sed -i 's/DEBUG=1/DEBUG=0/' .env
