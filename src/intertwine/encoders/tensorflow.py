"""The import of TensorFlow."""

from __future__ import annotations

import os
from typing import Any

from intertwine.extras import import_extra

EXTRA = "tensorflow"


def import_tensorflow() -> Any:
    """Import TensorFlow, quiet on standard error; where it is missing the error is the pip line."""
    # Read once, at its import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return import_extra("tensorflow", EXTRA)
