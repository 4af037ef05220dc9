#!/bin/sh
echo "$(cat /opt/greet/word) $1"
echo "greeting=$(cat /opt/greet/word) $1" >> "$GITHUB_OUTPUT"
