#!/bin/sh
# Makes .venv, installs Stemsteer into it, and takes the bundled song apart into ./demo.
# With --model NAME, by one model: sh build/demo.sh --model spain-xumx, or --model spleeter, which
# takes out a singer (after .venv/bin/stemsteer models add spleeter).
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv "."
.venv/bin/python build/demo.py demo "$@"
say ""
say "Your own music: .venv/bin/stemsteer scan SONG --plot field.png"
say "                .venv/bin/stemsteer render SONG --azimuth -30 --width 25"
