"""How verification across spaces depends on the number of fit rows and on the rank of the map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.features.rows import row_number_hashes
from intertwine.studies.open_set.fold_maps import FoldMaps
from intertwine.studies.open_set.rows import percent_change
from intertwine.studies.open_set.trials import mapped_trials, rank_trials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.estimators import FitOptions
    from intertwine.storage.shelf import Checkpoints
    from intertwine.studies.open_set.fold_maps import Pair
    from intertwine.studies.open_set.fold_moments import FoldMoments
    from intertwine.studies.open_set.trials import Progress, Trial

    Row = dict[str, Any]

SMALLEST = 50
RANKS = (512, 256, 128, 64, 32, 16, 8)


def size_rows(
    rows: FoldMoments,
    options: FitOptions,
    natives: Mapping[str, Trial],
    whole: Mapping[Pair, Trial],
    *,
    points: int,
    saved: Checkpoints | None,
    progress: Progress,
) -> list[Row]:
    """Return accuracy over the number of fit rows, 50 to all, in nested random subsets.

    Sizes are even on a logarithmic scale; `whole` are the trials with all rows, the last point.
    """
    order = np.argsort(row_number_hashes(rows.n), kind="stable")
    # The test fold takes its share of every subset.
    low = min(rows.n, round(SMALLEST / (1 - rows.barred.mean())))
    sizes = sorted({round(float(size)) for size in np.geomspace(rows.n, low, points)})
    table: list[Row] = []
    for step, size in enumerate(sizes):
        if size == rows.n:
            trials = whole
        else:
            maps = FoldMaps(rows.taking(order[:size]), options)
            trials = mapped_trials(rows.data, maps, saved=saved and saved.at(f"rows{size}"))
        table += [_row("pairs", pair, trial, natives, None) for pair, trial in trials.items()]
        progress("curve over fit rows", step + 1, len(sizes))
    return table


def rank_rows(
    rows: FoldMoments,
    options: FitOptions,
    natives: Mapping[str, Trial],
    *,
    saved: Checkpoints | None,
    progress: Progress,
) -> list[Row]:
    """Return accuracy over the rank of ridge maps, 512 to 8, as far as both spaces reach."""
    alpha = "gcv" if options.alpha == "gcv-per-target" else options.alpha
    options = replace(options, method="reduced-rank", alpha=alpha, rank=None, prior=None)
    dims = {name: space.dim for name, space in rows.data.spaces.items()}
    trials = rank_trials(
        rows.data,
        FoldMaps(rows, options, RANKS),
        saved=saved and saved.at("ranks"),
        progress=lambda _, done, total: progress("curve over rank", done, total),
    )
    return [
        _row("rank", (source, target), trial, natives, rank)
        for (source, target, rank), trial in trials.items()
        if rank is not None and rank <= min(dims[source], dims[target])
    ]


def _row(
    kind: str, pair: Pair, trial: Trial, natives: Mapping[str, Trial], rank: int | None
) -> Row:
    own, other = (natives[name].accuracy.mean for name in pair)
    mean = trial.accuracy.mean
    return {
        "kind": kind,
        "n_fit": trial.n_fit,
        "rank": rank,
        "source": pair[0],
        "target": pair[1],
        "accuracy": mean,
        "std": trial.accuracy.std,
        "percent_change": percent_change(mean, own),
        "loss": 100 * (min(own, other) - mean),
    }
