"""From notes to stems on disk: songs for training, and the bundled song."""
