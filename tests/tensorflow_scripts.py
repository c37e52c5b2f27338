"""Scripts of tests that need TensorFlow, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest


def run_script(script, folder, *, needs: str = "tensorflow"):
    """Run a script that writes what a test reads; return the folder that it was given.

    TensorFlow warns and takes seconds to import, so it never enters the process of the tests.
    """
    if importlib.util.find_spec(needs) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {needs}")
        pytest.skip(f"no {needs}; make test installs it")
    # Keras on torch loads Triton where torch has it, and TensorFlow crashes beside that.
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-3000:]}"
    return folder
