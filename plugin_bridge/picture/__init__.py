"""Pictures of instruments to their names; run once, outside the audio."""
