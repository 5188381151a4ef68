"""The streaming engine: numpy and onnxruntime only."""
