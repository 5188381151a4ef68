#!/bin/sh
# Validates the plugin in every format, in about a minute: builds it; asks it what clap-validator,
# pluginval and odd hosts ask, in small hosts of our own (states in pieces and empty, text and back
# in three locales, in-place buffers, rates by blocks, any transport, a change with every sample);
# lv2_validate, sord_validate, lv2info; the same samples from every format; DawDreamer. Where
# pluginval or clap-validator is on the path, those too. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv ".[train,dev,live,panel,cluster,discovery,host,validate]"
provide build/debian-packages.txt
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -rs --durations=5 "$@" \
    tests/plugin/test_plugin_checks.py tests/plugin/test_plugin_validators.py
