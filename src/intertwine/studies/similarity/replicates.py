"""Scores without one row group each, and their files, so that a killed study goes on from there."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from intertwine.similarity.moment_measures import MomentScores
from intertwine.similarity.predictivity import Fold
from intertwine.storage.shelf import keep, kept
from intertwine.storage.untrusted import DAMAGE

if TYPE_CHECKING:
    from pathlib import Path

Pair = tuple[str, str]


@dataclass(frozen=True)
class Replicate:
    """What one study without one row group found.

    Parameters
    ----------
    scores
        By unordered pair.
    folds
        How maps fitted without the group do on it, by ordered pair.
    """

    scores: dict[Pair, MomentScores]
    folds: dict[Pair, Fold]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values, canonical correlations left out."""
        scores = [[*pair, each.scores, each.reasons] for pair, each in self.scores.items()]
        return {"scores": scores, "folds": [[*pair, asdict(x)] for pair, x in self.folds.items()]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Replicate:
        """Return what `to_json` described."""
        return cls(
            {(a, b): MomentScores(scores, reasons) for a, b, scores, reasons in value["scores"]},
            {(a, b): Fold(**each) for a, b, each in value["folds"]},
        )


@dataclass(frozen=True)
class Shelf:
    """Where the replicates of one study are kept until it ends.

    Parameters
    ----------
    folder
        The folder, made when first written to.
    key
        Tells the rows and spaces from others.
    options
        Tells how they were measured.
    """

    folder: Path
    key: str
    options: str

    def load(self, group: int) -> Replicate | None:
        """Return the replicate without a group, or None where there is none that is whole."""
        body = kept(self._path(group))
        try:
            return None if body is None else Replicate.from_json(body)
        except DAMAGE:
            return None

    def save(self, group: int, replicate: Replicate) -> None:
        """Keep a replicate; other options' files are left alone."""
        keep(self._path(group), replicate.to_json())

    def _path(self, group: int) -> Path:
        options = hashlib.sha256(self.options.encode()).hexdigest()[:8]
        return self.folder / f"without-{self.key}-{options}-{group:03d}.json"
