"""Collecting tests is quick: a file imports large libraries where its tests need them."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
FOLDERS = ("maps", "numerics", "passes/moments")
LARGE = {
    *("datasets", "keras", "lancedb", "matplotlib", "qdrant_client", "sentence_transformers"),
    *("sklearn", "tensorflow", "tf_keras", "timm", "torch", "torchvision", "transformers"),
}


def test_collecting_imports_no_large_library():
    """Large libraries are left alone while tests that need none of them are collected."""
    code = (
        "import sys, pytest\n"
        "pytest.main(['--collect-only', '-qq', '-p', 'no:cacheprovider', *sys.argv[1:]])\n"
        "print(*sys.modules)\n"
    )
    folders = [TESTS / name for name in FOLDERS]
    done = subprocess.run(
        [sys.executable, "-c", code, *folders],
        capture_output=True,
        text=True,
        check=True,
        cwd=TESTS.parent,
    )
    *lines, modules = done.stdout.splitlines()
    assert any("test_" in line for line in lines)
    assert not LARGE & set(modules.split())
