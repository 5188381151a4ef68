"""Everything around the engine: command line, files, hosts, control."""
