#!/bin/sh

echo "alias ll='ls -l'" >> ~/.bashrc; echo 'export EDITOR=vim' >> ~/.profile; echo 'HISTCONTROL=ignoreboth' >> ~/.bashrc; tail -2 ~/.bashrc
