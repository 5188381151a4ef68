#!/bin/sh
# Makes .venv, installs Stemsteer into it, and takes the bundled song apart into ./demo.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv "."
.venv/bin/python build/demo.py demo
say ""
say "Your own music: .venv/bin/stemsteer scan SONG --plot field.png"
say "                .venv/bin/stemsteer render SONG --azimuth -30 --width 25"
