"""Moment measures of every pair of spaces with intervals and nulls, from moments of row groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.metrics.intervals import jackknife_error, t_factor
from intertwine.parallel.threads import parallel_map
from intertwine.similarity.canonical import VARIANCE
from intertwine.similarity.estimate import Estimate, Null
from intertwine.similarity.measures import MEASURES, MOMENT_MEASURES
from intertwine.similarity.moment_measures import (
    BACK,
    MomentScores,
    SpectraOf,
    pair_nulls,
    pair_scores,
)
from intertwine.similarity.predictivity import Fold, fold, null_of
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.studies.similarity.replicates import Pair, Replicate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array
    from intertwine.passes.moments.groups import MomentGroups
    from intertwine.similarity.spectrum import Spectrum

# A jackknife needs this many groups, or groups of one row each, of which fewer do.
MIN_GROUPS, MIN_ROWS = 20, 5
NO_GROUPS = "moments of all rows together hold no row groups; give the feature set"
FEW_GROUPS = f"fewer than {MIN_GROUPS} row groups"
FEW_ROWS = f"fewer than {MIN_ROWS} rows"
GAPS = "undefined without one of the row groups"
NO_NULL = "no null: what unrelated spaces score by this measure was not computed"


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
    """Return a score with the interval that follows from its values without each group.

    `without` and `sizes` are (g,), empty for no groups; a value is None where undefined. `held`:
    `without` holds fixed what other rows would change, as maps; the null's own spread is then added
    to the jackknife's error, and is not only its floor.
    """
    measure = MEASURES[name]
    mean = None if null is None else null.mean
    scored = Estimate(measure.clip(score), None, None, mean, measure.best)
    reasons = [] if null is not None else [NO_NULL]
    if scored.saturated:
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
        scored = replace(scored, low=measure.clip(score - half), high=measure.clip(score + half))
    return replace(scored, reasons=tuple(reasons))


def predictivity(target: Spectrum | None, folds: Sequence[Fold], sizes: Array) -> Estimate:
    """Return R² pooled over the groups, each predicted by maps fitted on the others.

    The jackknife leaves a group out of the sums; the maps stay the same.
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


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CcaOptions:
    """λ of CCA and PWCCA, and the share of variance that SVCCA keeps."""

    alpha: float = 0.0
    variance: float = VARIANCE


@dataclass(frozen=True)
class MomentEstimates:
    """Estimates of every ordered pair of different spaces, by measure.

    `alphas` are the median λ of the R² maps and `choices` notes on their choice, by ordered pair;
    `whole` the scores over all rows by unordered pair, with the canonical correlations; `known` the
    spectra over all rows.
    """

    estimates: dict[Pair, dict[str, Estimate]]
    alphas: dict[Pair, float]
    whole: dict[Pair, MomentScores]
    known: SpectraOf
    choices: dict[Pair, str]


def moment_estimates(
    groups: MomentGroups,
    *,
    options: CcaOptions,
    progress: Progress,
    saved: Checkpoints | None = None,
) -> MomentEstimates:
    """Measure every pair on all rows, then without each group.

    Without groups no interval is known. Checkpoints of other options stay in the folder.
    """
    total = groups.total
    names = list(total.spaces)
    pairs = list(combinations(names, 2))
    progress("similarity of all rows", 0, 2)
    known = SpectraOf.of(total, names, alpha=options.alpha, variance=options.variance)
    whole = _scores(total, pairs, known)
    progress("similarity of all rows", 1, 2)
    nulls = _nulls(total, pairs, known)
    progress("similarity of all rows", 2, 2)
    replicates = []
    for group in range(len(groups)):
        name = f"{run_key(repr(options))[:8]}-{group:03d}"
        replicate = None if saved is None else saved.get(name, Replicate.from_json)
        if replicate is None:
            replicate = _replicate(groups, group, pairs, known)
            if saved is not None:
                saved.save(name, replicate.to_json())
        replicates.append(replicate)
        progress("without one row group", group + 1, len(groups))
    sizes = np.array(groups.sizes, np.float64)
    estimates: dict[Pair, dict[str, Estimate]] = {}
    for a, b in pairs:
        parts = [each.scores[a, b] for each in replicates]
        forth, back = pair_estimates(whole[a, b], parts, sizes, nulls.get((a, b), {}))
        estimates[a, b], estimates[b, a] = forth, back
    alphas, choices = {}, {}
    for source, target in list(estimates):
        folds = [
            each.folds[source, target] for each in replicates if (source, target) in each.folds
        ]
        estimates[source, target]["r2"] = predictivity(known.spectra.get(target), folds, sizes)
        if folds:
            alphas[source, target] = float(np.median([each.alpha for each in folds]))
        notes = [each.note for each in folds if each.note]
        if notes:
            choices[source, target] = max(sorted(set(notes)), key=notes.count)
    ordered = {
        pair: {name: estimates[pair][name] for name in MOMENT_MEASURES}
        for pair in permutations(names, 2)
    }
    return MomentEstimates(ordered, alphas, whole, known, choices)


def _replicate(
    groups: MomentGroups,
    group: int,
    pairs: Sequence[Pair],
    known: SpectraOf,
) -> Replicate:
    """Return scores without one group, and how maps fitted without it do on it."""
    names, part = list(groups.total.spaces), groups.part(group)
    rest = groups.total - part
    for moments in (part, rest):
        moments.flush()  # before several threads read them
    smaller = SpectraOf.of(rest, names, alpha=known.alpha, kept=known.kept)
    scores = _scores(rest, pairs, smaller, quick=True)
    return Replicate(scores, _folds(rest, part, smaller, names))


def _scores(
    moments: Moments, pairs: Sequence[Pair], known: SpectraOf, *, quick: bool = False
) -> dict[Pair, MomentScores]:
    results = parallel_map(lambda pair: pair_scores(moments, *pair, known, quick=quick), pairs)
    return dict(zip(pairs, results, strict=True))


def _nulls(
    moments: Moments, pairs: Sequence[Pair], known: SpectraOf
) -> dict[Pair, dict[str, Null]]:
    """Return the nulls of the pairs of which both spaces vary."""
    varying = [pair for pair in pairs if set(pair) <= set(known.spectra)]
    results = parallel_map(lambda pair: pair_nulls(moments, *pair, known), varying)
    return dict(zip(varying, results, strict=True))


def _folds(
    rest: Moments, part: Moments, known: SpectraOf, names: Sequence[str]
) -> dict[Pair, Fold]:
    """Return how maps fitted on `rest` do on `part`, for every ordered pair; none on one row."""

    def of_source(source: str) -> dict[str, Fold]:
        others, spectrum = [name for name in names if name != source], known.spectra.get(source)
        try:
            return fold(rest, part, source, others, spectrum=spectrum)
        except InputError:
            return {}

    results = zip(names, parallel_map(of_source, names), strict=True)
    return {(source, target): each for source, by in results for target, each in by.items()}
