"""What is measured of a machine: its set-up, the models' speed, the load it bears."""
