"""Finished mixes as training data: their voices and accompaniments, taken out by a teacher."""
