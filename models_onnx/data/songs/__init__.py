"""The composer: a seed becomes a song of parts and notes."""
