"""What plays a song: soundfonts, recorded notes, and effects."""
