"""The process of `probe`: it loads a plugin, and says why if that fails."""

from __future__ import annotations

import os
import sys


def main(path: str, plugin_name: str) -> None:
    """Load the plugin; end with status 1 and a reason on standard output if it does not load."""
    out, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # there are plugins that talk without end
    os.dup2(nowhere, 2)
    import pedalboard

    try:
        pedalboard.load_plugin(path, plugin_name=plugin_name or None)
    except Exception as error:
        os.write(out, str(error).encode(errors="replace"))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
