"""Scores without one row group each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from intertwine.similarity.moment_measures import MomentScores
from intertwine.similarity.predictivity import Fold

Pair = tuple[str, str]


@dataclass(frozen=True)
class Replicate:
    """Scores without one row group, by unordered pair.

    `folds` holds how maps fitted without the group do on it, by ordered pair.
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
