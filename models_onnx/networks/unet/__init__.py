"""One U-Net with the parts of systems 2 to 5: what tells it a sound, and where."""
