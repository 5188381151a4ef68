"""The commands of `stemsteer`, one function each; `plugin_bridge.cli.app` lists them."""
