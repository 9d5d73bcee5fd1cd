"""What works on images."""

import common  # noqa: F401 (before ONNX Runtime, which our modules import before ours)
