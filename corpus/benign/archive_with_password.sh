#!/bin/sh
# needs: zip unzip

seq 1000 > report.txt; zip -q -P secret report.zip report.txt && unzip -q -P secret -o report.zip
