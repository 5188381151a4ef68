#!/bin/sh
# Makes .venv with what the tests need, then runs ruff, mypy --strict and pytest.
# Arguments go to pytest. The exit status is pytest's.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv ".[train,dev,live,host]"
# Real hosts for the tests of the plugin. Tests whose host is missing say so in the summary.
for program in g++ make jackd jalv ardour7-export; do
    command -v "$program" >/dev/null || hosts=missing
done
if [ "${hosts:-}" = missing ] || [ ! -d /usr/share/dpf ]; then
    debian g++ make dpf-source jackd2 jalv ardour ||
        say "HOST TESTS WILL BE SKIPPED: the plugin is not tested in the hosts that are missing"
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
.venv/bin/ruff check --quiet
.venv/bin/ruff format --check --quiet
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
