#!/bin/sh
# Runs the fuzzers and soaks to their full length; build/test.sh runs a tenth of each.
# Arguments go to pytest; the exit status is pytest's.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv ".[train,dev,live,panel,cluster,discovery,host,validate]"
export STEMSTEER_SOAK=1
exec .venv/bin/python -m pytest -m soak "$@"
