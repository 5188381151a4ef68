"""The files that lanes come from: CSV and JSON, MIDI, REAPER projects."""
