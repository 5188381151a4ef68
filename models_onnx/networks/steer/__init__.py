"""The flagship: a filter that is told a direction."""
