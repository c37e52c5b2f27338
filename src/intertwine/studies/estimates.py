"""Scores of all rows and of all rows but a group, as estimates with intervals and nulls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from intertwine.metrics.jackknife import jackknife_error, t_factor
from intertwine.similarity.estimate import Estimate, Null
from intertwine.similarity.measures import MEASURES
from intertwine.similarity.moment_measures import BACK
from intertwine.similarity.predictivity import null_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.arrays import Array
    from intertwine.similarity.moment_measures import MomentScores
    from intertwine.similarity.predictivity import Fold
    from intertwine.similarity.spectrum import Spectrum

# A jackknife needs this many groups, or groups of one row each, of which fewer do.
MIN_GROUPS, MIN_ROWS = 20, 5
NO_GROUPS = "moments of all rows together hold no row groups; give the feature set"
FEW_GROUPS = f"fewer than {MIN_GROUPS} row groups"
FEW_ROWS = f"fewer than {MIN_ROWS} rows"
GAPS = "undefined without one of the row groups"


def pair_estimates(
    whole: MomentScores,
    without: Sequence[MomentScores],
    sizes: Array,
    nulls: Mapping[str, Null],
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Return the estimates of a pair in both directions, R² excepted."""
    forth: dict[str, Estimate] = {}
    for key in (*MEASURES, BACK):
        name = "pwcca" if key == BACK else key
        if key in whole.scores:
            replicates = [each.scores.get(key) for each in without]
            forth[key] = estimate(name, whole.scores[key], replicates, sizes, nulls.get(key))
        elif key in whole.reasons:
            forth[key] = Estimate.undefined(MEASURES[name].best, whole.reasons[key])
    turned = forth.pop(BACK)
    return forth, {**forth, "pwcca": turned}


def estimate(
    name: str,
    score: float,
    without: Sequence[float | None],
    sizes: Array,
    null: Null | None,
    *,
    held: bool = False,
) -> Estimate:
    """Return a score with the interval that its values without each group give.

    Parameters
    ----------
    name
        The measure.
    score
        Its value over all rows.
    without
        (g,) its values without one group each, None where undefined; empty for no groups.
    sizes
        (g,) rows of each group.
    null
        What unrelated spaces score.
    held
        Whether `without` holds fixed what other rows would change, as maps: the null's own spread is
        then added to the jackknife's error, and not only its floor.
    """
    measure = MEASURES[name]
    mean = None if null is None else null.mean
    found = Estimate(measure.clip(score), None, None, mean, measure.best)
    reasons = [] if null is not None else ["no null: the measure of unrelated spaces is undefined"]
    if found.saturated:
        reasons.append("unrelated spaces of this size reach the best value too: no calibration")
    known = [value for value in without if value is not None]
    single = len(without) > 0 and max(sizes) == 1
    if len(without) < (MIN_ROWS if single else MIN_GROUPS):
        reasons.append((FEW_ROWS if single else FEW_GROUPS) if len(without) else NO_GROUPS)
    elif len(known) < len(without):
        reasons.append(GAPS)
    else:
        spread = 0.0 if null is None else null.sd
        error = jackknife_error(score, np.array(known), sizes)
        error = float(np.hypot(error, spread)) if held else max(error, spread)
        half = t_factor(len(known)) * error
        found = replace(found, low=measure.clip(score - half), high=measure.clip(score + half))
    return replace(found, reasons=tuple(reasons))


def predictivity(target: Spectrum | None, folds: Sequence[Fold], sizes: Array) -> Estimate:
    """Return R² pooled over the groups, each predicted by maps fitted on the others.

    The jackknife leaves a group out of the sums; the maps are held as they are.
    """
    if not len(sizes):
        return Estimate.undefined(1.0, NO_GROUPS)
    if target is None or any(each.spread <= 0 for each in folds):
        return Estimate.undefined(1.0, "the target does not vary over the rows")
    if len(folds) < len(sizes):
        return Estimate.undefined(1.0, "too few rows to fit a map on without one group of them")
    residual = np.array([each.residual for each in folds])
    without = [1 - (residual.sum() - each.residual) / each.spread for each in folds]
    null = null_of(folds, target.n, target.participation_ratio)
    score = float(1 - residual.sum() / target.total)
    return estimate("r2", score, without, sizes, null, held=True)
