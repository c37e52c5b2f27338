"""Which similarity measure predicts how well networks swap, by a closed-set report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.metrics.rank_correlation import matrix_correlation
from intertwine.report.schema import read_report
from intertwine.similarity.measures import MEASURES
from intertwine.storage.untrusted import damage_as_error, require_shape

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from intertwine.similarity.estimate import Estimate

Row = dict[str, Any]
KEYS = ("source", "target", "accuracy", "percent_change")
ROW = {"source": str, "target": str, "accuracy": (float, None), "percent_change": (float, None)}


def read_swaps(path: str | os.PathLike[str]) -> list[Row]:
    """Return the off-diagonal pairs of a closed-set report, from its folder or its `report.json`."""
    path = Path(path)
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no report.json there, expected a closed-set report")
    value = read_report(file)
    if value["study"] != "closed-set":
        raise InputError(f"{file}: got a report of the study {value['study']}, expected closed-set")
    require_shape(value, {"pairs": [ROW]}, file)
    with damage_as_error(file, "a closed-set report"):
        controls = set(value.get("controls") or [])
        return [
            {key: row[key] for key in KEYS}
            | {"control": bool(controls & {row["source"], row["target"]})}
            for row in value["pairs"]
            if row["source"] != row["target"]
        ]


def correlations(
    names: Sequence[str],
    estimates: Mapping[tuple[str, str], Mapping[str, Estimate]],
    swaps: Sequence[Row],
) -> list[Row]:
    """Correlate every measure with the accuracy that swaps keep, a row a measure.

    Spearman's ρ between the measure, turned so that larger is more similar, and percent change,
    over ordered pairs of networks; its interval is from resampling networks, its p value from
    permuting them.
    """
    place = {name: i for i, name in enumerate(names)}
    change = np.full((len(names), len(names)), np.nan)
    for row in swaps:
        i, j = place.get(row["source"]), place.get(row["target"])
        if i is not None and j is not None and row["percent_change"] is not None:
            change[i, j] = row["percent_change"]
    rows = []
    for name, measure in MEASURES.items():
        score = np.full_like(change, np.nan)
        for (a, b), by_measure in estimates.items():
            value = by_measure[name].score if name in by_measure else None
            if a in place and b in place and value is not None:
                score[place[a], place[b]] = value if measure.larger_is_more_similar else -value
        rows.append({"measure": name, **matrix_correlation(score, change)})
    return rows
