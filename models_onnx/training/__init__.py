"""From batches of scenes to weights."""
