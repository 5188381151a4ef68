#!/bin/sh
# Measures the models on this machine and puts the tables into README.md.
set -eu
cd "$(dirname "$0")/.."
. build/environment.sh
environment .venv "."
mkdir -p .work
.venv/bin/stemsteer bench --markdown "$@" > .work/bench.md
.venv/bin/python - <<'PYTHON'
import pathlib
import re

readme, part = pathlib.Path("README.md"), pathlib.Path(".work/bench.md")
tables = "\n".join(line.rstrip() for line in part.read_text().splitlines()).strip()
pattern = r"(?<=<!-- bench -->\n).*?(?=\n<!-- /bench -->)"
readme.write_text(re.sub(pattern, lambda _: tables, readme.read_text(), flags=re.DOTALL))
PYTHON
say "README.md has the figures of this machine now"
