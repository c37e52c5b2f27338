"""Groups, views and whole studies from arrays, for the tests of the similarity study."""

from __future__ import annotations

import numpy as np

from intertwine.features.rows import row_number_hashes
from intertwine.moments.moments import Moments
from intertwine.passes.moments.groups import MomentGroups, row_groups
from intertwine.similarity.estimate import Estimate
from intertwine.similarity.measures import MEASURES
from intertwine.similarity.pairwise import RowView
from intertwine.studies.similarity.study import SimilarityOptions, similarity_of_moments

ENDS = ("", "_low", "_high", "_null", "_calibrated", "_calibrated_low", "_calibrated_high")


def rows_of_groups(n, n_groups=20):
    """Return the row numbers of each group of n rows without ids."""
    return row_groups(row_number_hashes(n), n_groups)


def moments_of_rows(features, rows=slice(None)) -> Moments:
    """Return the joint moments of some rows of all spaces."""
    moments = Moments({name: x.shape[1] for name, x in features.items()}, precision="float64")
    moments.update({name: x[rows] for name, x in features.items()})
    return moments


def groups_of(features, n_groups=20) -> MomentGroups:
    """Return moments of row groups, as the pass over a folder makes them."""
    n = len(next(iter(features.values())))
    dims = {name: x.shape[1] for name, x in features.items()}
    groups = MomentGroups(Moments(dims, precision="float64"))
    for rows in rows_of_groups(n, n_groups):
        groups.add(moments_of_rows(features, rows))
    return groups


def study_of(features, *, rows=True, swaps=(), **options):
    """Return the similarity study of arrays as a report holds it; without row measures if asked."""
    views = {}
    if rows:
        views = {name: RowView.of(x.astype(np.float64), name=name) for name, x in features.items()}
    return similarity_of_moments(
        groups_of(features), views=views, options=SimilarityOptions(**options), swaps=swaps
    ).to_json()


def estimates_of(scores):
    """Return estimates by ordered pair and measure that hold scores only."""
    return {
        pair: {
            name: Estimate(score, None, None, None, MEASURES[name].best)
            for name, score in by_measure.items()
        }
        for pair, by_measure in scores.items()
    }


def assert_sound(result):
    """Check each number of the main table: in range, in order, consistent, None only with reason."""
    for row in result["pairs"]:
        for entry in result["measures"]:
            assert_sound_measure(row, entry)


def assert_sound_measure(row, entry):
    """Check the seven numbers of one measure and pair."""
    name = entry["name"]
    score, low, high, null, *calibrated = (row[f"{name}{end}"] for end in ENDS)
    where = (row["source"], row["target"], name)
    if None in (score, low, high, null, *calibrated):
        assert row["reasons"].get(name), where
        assert row["reasons"][name] in row["reason"], where
    floor, ceiling = entry["range"]
    for value in (score, low, high):
        if value is not None:
            assert floor is None or value >= floor, where
            assert ceiling is None or value <= ceiling, where
    if low is not None:
        assert low <= score <= high, where
    if row["source"] == row["target"]:
        return
    best = MEASURES[name].best
    if score is None or null is None or abs(best - null) < 1e-6:
        assert calibrated == [None, None, None], where
        return

    def turned(value):
        return (value - null) / (best - null)

    np.testing.assert_allclose(calibrated[0], turned(score), rtol=1e-12, err_msg=str(where))
    if low is not None:
        ends = sorted([turned(low), turned(high)])
        np.testing.assert_allclose(calibrated[1:], ends, rtol=1e-12, err_msg=str(where))
