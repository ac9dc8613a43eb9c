#!/bin/sh
# needs: awk perl

seq 10 | awk ' { if ($1 ~ /1/) {print $1} else {print "/ " $1} } '; seq 3 | perl -ne ' print if / ?2/ '
