"""Run the command line: ``python -m plugin_bridge.cli``, as the files of autostart say."""

from plugin_bridge.cli.app import main

main()
