#!/bin/sh
# Makes .venv with what the tests need, then runs ruff, mypy --strict and pytest.
# Arguments go to pytest, which runs in four processes, one of them for the tests that keep time
# with a clock and mostly wait for it (-n 0: all in one). The exit status is pytest's.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv ".[train,dev,live,panel,cluster,discovery,host,validate]"
# Real hosts for the plugin, soundfonts for the renderer, other people's tools for the protocols.
# Tests that miss one of them are skipped and say so in the summary.
provide build/debian-packages.txt
.venv/bin/ruff check --quiet
.venv/bin/ruff format --check --quiet
# mypy has one processor; the other compiles what many tests load: our modules, and the plugins.
{
    .venv/bin/python -m compileall -q realtime plugin_bridge models_onnx tests/support
    .venv/bin/python -m tests.support.engine_sandbox
} &
.venv/bin/mypy
wait
exec .venv/bin/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder "$@"
