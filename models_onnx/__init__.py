"""The networks, their data, training, evaluation and export (torch)."""
