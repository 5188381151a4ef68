"""The engine that serves the plugins of a DAW; each sub-folder but `shared` is a process."""
