"""Print the table of controls: ``python -m plugin_bridge.controls header``."""

import sys

from plugin_bridge.control.generate import main

if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
