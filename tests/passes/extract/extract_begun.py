"""Imported by the kill server: extraction commits every batch, and says when it holds its folder."""

from __future__ import annotations

import os

import onnx  # noqa: F401 - so that no process has to import it
import onnxruntime  # noqa: F401
import PIL.Image  # noqa: F401

from intertwine.features.writing import opening
from intertwine.passes.extract import run as extract_run

# Where the server's answers go; a command's own output goes nowhere.
answers, lock_folder = os.dup(1), opening.lock_folder


def lock_and_say(*values: object, **options: object) -> object:
    """Lock a set's folder and print `begun`."""
    lock = lock_folder(*values, **options)
    os.write(answers, b"begun\n")
    return lock


opening.lock_folder = lock_and_say
extract_run.COMMIT_SECONDS = 0
