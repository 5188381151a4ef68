"""Other people's trained weights to model files of ours: read without running anything of theirs.

In reading order: `archive` (checkpoints to arrays), `graph` (arrays to ONNX), `spleeter`.
"""
