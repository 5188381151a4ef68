"""Run the audio process: ``python -m plugin_bridge.engine.worker SOCKET PAGE MODEL LANES``."""

import sys

from plugin_bridge.engine.worker.main import main

main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
