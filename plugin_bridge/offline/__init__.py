"""From a file to stems, and from a file to its stereo field."""
