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
    """One network of a preset.

    Parameters
    ----------
    name
        Name of its space.
    summary
        Which network it is.
    scheme
        What opens it.
    options
        Options of its URI, its name left out.
    dim
        Dimension of its features.
    input_size
        Input height and width in pixels.
    parameters
        Number of its weights, the head's included.
    files
        File names that are looked for, the first found being taken; SHA-256, or None where any
        bytes will do, by name. Empty for a network that needs none.
    source
        Where the weights come from.
    licence
        Licence of the weights.
    network
        What the scheme calls it. Its library then fetches the weights where no file is found; None
        where the file itself is what the scheme opens.
    """

    name: str
    summary: str
    scheme: str
    options: Mapping[str, str]
    dim: int
    input_size: tuple[int, int]
    parameters: int
    files: Mapping[str, str | None]
    source: str
    licence: str
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
