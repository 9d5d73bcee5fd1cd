"""What all parts share. Importing it keeps ONNX Runtime from sending anything to its makers.

Since 1.29 the builds for Linux report sessions, models and errors over the network, and write a persistent identifier
into the user's cache, unless this is set before the library is imported (its Privacy.md). What somebody has set stays.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
