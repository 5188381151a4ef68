"""The audio process of one plugin instance."""
