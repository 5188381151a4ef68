"""Other people's plugins on a stem."""
