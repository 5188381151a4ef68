"""Audio and target files, in and out."""
