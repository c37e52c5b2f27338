"""Scores of the pairs under one map, and how they are saved for a study that is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from intertwine.storage.shelf import Checkpoints, run_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from intertwine.numerics.arrays import Array
    from intertwine.studies.open_set.data import VerificationSet


class MapScores(NamedTuple):
    """Scores of pairs under one map, (k,) in the order asked for, and the map's facts.

    `edge` is a note on the choice of λ, such as an edge of the grid; empty for most.
    """

    source: str
    target: str
    rank: int | None
    n: int
    alpha: float | None
    edge: str
    scores: Array


def score_checkpoints(folder: Path, data: VerificationSet, options: str) -> Checkpoints:
    """Return the checkpoints of a study; what other studies left in the folder is removed."""
    arrays = (data.first, data.second, data.same, data.fold, data.person)
    facts = [options, list(data.features), [list(x.shape) for x in data.features.values()]]
    saved = Checkpoints(folder, run_key(facts, *data.features.values(), *arrays))
    saved.clear()
    return saved


def save_scores(saved: Checkpoints, folds: Sequence[int], scored: Sequence[MapScores]) -> None:
    """Save the scores under the maps without some folds."""
    tensors = {str(number): each.scores for number, each in enumerate(scored)}
    saved.save_tensors(_name(folds), tensors, {"maps": [list(each[:-1]) for each in scored]})


def saved_scores(saved: Checkpoints, folds: Sequence[int]) -> list[MapScores] | None:
    """Return the scores under the maps without some folds, or None where nothing whole is saved."""

    def parse(tensors: dict[str, Array], header: dict[str, Any]) -> list[MapScores]:
        return [
            MapScores(source, target, rank, n, alpha, edge, tensors[str(number)])
            for number, (source, target, rank, n, alpha, edge) in enumerate(header["maps"])
        ]

    return saved.get_tensors(_name(folds), parse)


def _name(folds: Sequence[int]) -> str:
    return "-".join(map(str, folds))
