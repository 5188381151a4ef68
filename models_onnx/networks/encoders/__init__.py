"""Encoders that make a timbre vector of something that says what a sound is."""
