#!/bin/sh
# Makes .venv with what the tests need, then runs ruff, mypy --strict and pytest.
# Arguments go to pytest. The exit status is pytest's.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv ".[train,dev,live,discovery,host]"
# Real hosts for the plugin, soundfonts for the renderer, other people's tools for the protocols.
# Tests that miss one of them are skipped and say so in the summary.
missing=""
for needed in g++:g++ make:make jackd:jackd2 jalv:jalv ardour7-export:ardour oscsend:liblo-tools \
    ffmpeg:ffmpeg systemd-analyze:systemd; do
    command -v "${needed%%:*}" >/dev/null || missing="$missing ${needed##*:}"
done
for needed in /usr/share/dpf:dpf-source /usr/lib/vst3/ZaMaximX2.vst3:zam-plugins \
    /usr/share/sounds/sf2/TimGM6mb.sf2:timgm6mb-soundfont \
    /usr/share/sounds/sf2/FluidR3_GM.sf2:fluid-soundfont-gm; do
    [ -e "${needed%%:*}" ] || missing="$missing ${needed##*:}"
done
for needed in libfluidsynth.so.3:libfluidsynth3 libportaudio.so.2:libportaudio2; do
    ls /usr/lib/*/"${needed%%:*}" >/dev/null 2>&1 || missing="$missing ${needed##*:}"
done
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 -- a list of words
    debian $missing || say "TESTS WILL BE SKIPPED: missing are$missing"
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
.venv/bin/ruff check --quiet
.venv/bin/ruff format --check --quiet
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
