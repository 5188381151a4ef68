"""What plays a song: soundfonts, recorded notes, effects, and the studio that uses them."""
