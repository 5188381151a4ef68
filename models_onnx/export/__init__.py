"""From weights to ONNX files that carry their spec."""

from models_onnx.export.onnx_files import ExportError, rounded
from models_onnx.export.separators import OneMixture, OneStream, export

__all__ = ["ExportError", "OneMixture", "OneStream", "export", "rounded"]
