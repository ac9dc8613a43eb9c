#!/bin/sh

mkdir -p ~/.local/opt/app; rm -rf ~/.local/opt/app; sed -i '/app/d' ~/.bashrc; ls -A ~
