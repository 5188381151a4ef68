"""Other people's plugins on a stem; pedalboard is imported here and by the decoders alone."""
