"""Scores of the maps fitted so far, in files, so that a killed study goes on from there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intertwine.errors import FileFormatError
from intertwine.storage.files import read_tensors, write_tensors
from intertwine.storage.untrusted import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.open_set.data import VerificationSet


class Scored(NamedTuple):
    """What one map gave.

    Parameters
    ----------
    source, target
        The spaces.
    rank
        Of the map, where there are several.
    n, alpha
        Fit rows, and the λ that was used, if any.
    edge
        What is worth saying of the choice of λ, such as an edge of the grid; empty for most.
    scores
        (k,) of the pairs it was asked for, in order.
    """

    source: str
    target: str
    rank: int | None
    n: int
    alpha: float | None
    edge: str
    scores: Array


@dataclass(frozen=True)
class ScoreShelf:
    """Where the scores of one study are kept until it ends.

    Parameters
    ----------
    folder
        The folder, made when first written to.
    key
        Tells features, pairs and options from others.
    stage
        Part of the study.
    """

    folder: Path
    key: str
    stage: str = "main"

    @classmethod
    def of(cls, folder: Path, data: VerificationSet, options: str) -> ScoreShelf:
        """Return the shelf of a study; what other studies left in the folder is removed."""
        digest = hashlib.sha256(options.encode())
        for name, features in data.features.items():
            digest.update(name.encode() + features.tobytes())
        for array in (data.first, data.second, data.same, data.fold, data.person):
            digest.update(np.ascontiguousarray(array).tobytes())
        key = digest.hexdigest()[:16]
        for stale in Path(folder).glob("*.safetensors"):
            if not stale.name.startswith(key):
                stale.unlink()
        return cls(Path(folder), key)

    def at(self, stage: str) -> ScoreShelf:
        """Return the same shelf for another part of the study."""
        return ScoreShelf(self.folder, self.key, stage)

    def load(self, folds: Sequence[int]) -> list[Scored] | None:
        """Return what maps without some folds gave, or None where nothing whole is kept."""
        path = self._path(folds)
        if not path.exists():
            return None
        try:
            tensors, header = read_tensors(path, kind="scores")
            return [
                Scored(source, target, rank, n, alpha, edge, tensors[str(i)])
                for i, (source, target, rank, n, alpha, edge) in enumerate(header["maps"])
            ]
        except (FileFormatError, *DAMAGE):
            return None

    def save(self, folds: Sequence[int], scored: Sequence[Scored]) -> None:
        """Keep what maps without some folds gave."""
        tensors = {str(i): each.scores for i, each in enumerate(scored)}
        header: dict[str, Any] = {"maps": [list(each[:-1]) for each in scored]}
        write_tensors(self._path(folds), tensors, kind="scores", header=header)

    def _path(self, folds: Sequence[int]) -> Path:
        return self.folder / f"{self.key}-{self.stage}-{'-'.join(map(str, folds))}.safetensors"
