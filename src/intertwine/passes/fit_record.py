"""Which maps of a folder a fit that was killed has written, and when it began."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError
from intertwine.files import forget_temporary, read_json, write_json
from intertwine.linear_map import date_text
from intertwine.untrusted import DAMAGE

if TYPE_CHECKING:
    from pathlib import Path

NAME = ".fit.json"


class FitRecord:
    """The record of one fit in its folder; that of another fit is not gone on with.

    Parameters
    ----------
    folder
        Where the maps go.
    facts
        JSON-ready: what makes this fit this fit.
    """

    def __init__(self, folder: Path, facts: Any) -> None:
        self.path = folder / NAME
        self._key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self._done: list[str] = []
        self._lock = Lock()
        # Every map of one fit states one date, that of its beginning.
        self._created = date_text(None)
        try:
            earlier = read_json(self.path)
            if earlier["key"] == self._key:
                datetime.fromisoformat(earlier["created"])
                self._created, self._done = earlier["created"], list(earlier["done"])
        except (FileFormatError, *DAMAGE):
            pass
        forget_temporary(self.path)

    @property
    def created(self) -> datetime:
        """When the fit began."""
        return datetime.fromisoformat(self._created)

    def __contains__(self, name: str) -> bool:
        """Return whether a file is written; what a kill left of it is removed."""
        forget_temporary(self.path.parent / name)
        return name in self._done and (self.path.parent / name).exists()

    def add(self, name: str) -> None:
        """Note that a file is written; from any thread."""
        with self._lock:
            self._done.append(name)
            self._save()

    def remove(self) -> None:
        """Forget the fit, which is done."""
        self.path.unlink(missing_ok=True)

    def _save(self) -> None:
        write_json(self.path, {"key": self._key, "created": self._created, "done": self._done})
