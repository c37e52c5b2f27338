"""What a study has found so far as checked JSON files, so that a killed one goes on from there."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError
from intertwine.storage.files import read_json, write_json
from intertwine.storage.untrusted import DAMAGE

if TYPE_CHECKING:
    from pathlib import Path


def keep(path: Path, value: Any) -> None:
    """Write a JSON-ready value with its digest, whole or not at all."""
    write_json(path, {"value": value, "sha256": _digest(value)})


def kept(path: Path) -> Any:
    """Return the value that `keep` wrote, or None where there is none that is whole."""
    if not path.exists():
        return None
    try:
        stored = read_json(path)
        if _digest(stored["value"]) == stored["sha256"]:
            return stored["value"]
    except (FileFormatError, *DAMAGE):
        pass
    return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
