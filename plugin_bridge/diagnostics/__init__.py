"""Measurements of a machine: its set-up, the speed of models, the load that it bears."""
