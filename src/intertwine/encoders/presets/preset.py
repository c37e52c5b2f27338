"""One network of a preset: what it is, how it is opened, which file its weights come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.encoders.registry import with_options

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class PresetEncoder:
    """One network of a preset."""

    name: str
    summary: str
    scheme: str
    # Of its URI, the name left out.
    options: Mapping[str, str]
    dim: int
    # Height and width in pixels.
    input_size: tuple[int, int]
    # Number of its weights, the head's included.
    parameters: int
    # File names that are looked for, the first found being read: SHA-256, or None where any bytes
    # will do, by name. Empty for a network that needs none.
    files: Mapping[str, str | None]
    # Where the weights come from, and their licence.
    source: str
    licence: str
    # What the scheme calls it. Its library then fetches the weights where no file is found; None
    # where the file itself is what the scheme opens.
    network: str | None = None

    @property
    def needs_file(self) -> bool:
        """Whether it cannot be opened unless one of its files is there."""
        return self.network is None

    def uri(self, file: str | os.PathLike[str] | None) -> str:
        """Return the URI that opens it, from a file where there is one."""
        if self.network is None:
            return with_options(f"{self.scheme}:{file}", name=self.name, **self.options)
        weights = {} if file is None else {"weights": str(file)}
        return with_options(
            f"{self.scheme}:{self.network}", name=self.name, **self.options, **weights
        )

    def find(self, folder: Path) -> Path | None:
        """Return its file in a folder, or None where there is none."""
        return next((folder / name for name in self.files if (folder / name).is_file()), None)
