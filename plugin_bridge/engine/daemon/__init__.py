"""The process that greets plugins and owns the audio processes; it touches no audio."""
