"""From weights to tables."""
