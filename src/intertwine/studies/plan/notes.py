"""What a reader of a plan must know: warnings, which come before all else, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.studies.plan.decision import STAY
from intertwine.studies.plan.groups import FEW, FILE, TIGHT
from intertwine.studies.plan.scores import CONVERT
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.studies.plan.decision import Decision
    from intertwine.studies.plan.forecast import Forecast
    from intertwine.studies.plan.groups import Grouping
    from intertwine.studies.plan.misaligned import Misaligned
    from intertwine.studies.plan.pairs import Pairs
    from intertwine.studies.plan.work import Work

    Row = dict[str, Any]

# A smaller share of near copies is a note, no warning.
FEW_COPIES = 0.01


def warnings(
    work: Work,
    pairs: FeatureSet,
    grouping: Grouping | None,
    wrong: Misaligned | None,
    rows: Sequence[Row],
) -> list[str]:
    """Return what puts the forecast in doubt, worst first; `rows` is the table of options."""
    doubts = []
    if wrong is not None:
        doubts.append(not_pairs(wrong, work.pairs, pairs))
    elif work.judge.stranger(work.judge.best(work.forecasts, CONVERT)) is not None:
        names = f"{work.pairs.source.name}.npy and {work.pairs.target.name}.npy"
        doubts.append(
            f"a map between the two spaces finds nothing: are the rows of {names} the same items in the "
            "same order?"
        )
    if grouping is not None and _is_doubt(grouping):
        doubts.append(in_groups(grouping, work.pairs, rows))
    bare = float(work.nothing.recall[0])
    if bare >= max(work.options.least, *(float(each.gains.recall[0]) for each in work.forecasts)):
        doubts.append(
            f"no map is needed: new queries find {100 * bare:.1f} % of the true neighbours among the "
            "old vectors as they are, no less than through a map; are both spaces one model's?"
        )
    if work.measure.labels is not None and work.judge.name == "recall":
        doubts.append(labels_unused(work))
    return doubts


def notes(
    work: Work, decision: Decision, grouping: Grouping | None, rows: Sequence[Row]
) -> list[str]:
    """Return the notes that put nothing in doubt."""
    pairs, proxy = work.pairs, work.proxy
    remarks = [*pairs.notes, *(() if proxy is None else proxy.notes)]
    if grouping is not None and not _is_doubt(grouping):
        remarks.append(in_groups(grouping, pairs, rows))
    remarks.append(
        f"the forecast is for a gallery of {pairs.n} items: a larger store holds more that is near, "
        "and less of what is nearest is found"
    )
    if pairs.n < max(pairs.source.dim, pairs.target.dim):
        remarks.append(
            f"{pairs.n} pairs are fewer than the dimensions of a space: recall rises steeply with their "
            "number there, and the forecast, which leaves some out, may be a point or two too high"
        )
    rescaled = [
        each.direction.option
        for each in work.forecasts
        if each.fit == "pairs" and each.direction.rescale
    ]
    if rescaled:
        remarks.append(
            f"vectors mapped to {' and '.join(rescaled)} are scaled to length 1, as the native ones are"
        )
    for each in work.forecasts:
        if each.gained is not None:
            before, after = (100 * recall for recall in each.gained)
            remarks.append(
                f"maps to {each.direction.option}, of the {each.fit}: lengths, which a cosine leaves "
                f"out, vary; vectors scaled to length 1 first find more (held-out recall@10 "
                f"{after:.1f} in place of {before:.1f} %), and the saved map scales what it maps"
            )
    remarks += filter(None, map(_edge, work.forecasts))
    nameless = 0 if work.measure.labels is None else int((work.measure.labels < 0).sum())
    if nameless:
        remarks.append(
            f"{nameless} of {pairs.n} items have a negative label, which says that theirs is not known: by "
            "labels they are neither asked for nor found"
        )
    if work.measure.labels is None:
        if pairs.labels is not None:
            remarks.append(f"labels are not used: {work.measure.unlabelled}")
        remarks.append(
            "without labels nothing says whether the new model finds more than the old one: staying "
            "with the old one is not weighed"
        )
    if decision.decision == STAY:
        remarks.append(
            f"if the old model has to go: {decision.otherwise}: {decision.otherwise_reason}"
        )
    return remarks


def _edge(forecast: Forecast) -> str | None:
    """Return that the λ that found most is the smallest or largest tried; None where it lies between."""
    tried = [row["alpha"] for row in forecast.rows if row["alpha"] is not None]
    alpha = forecast.candidate.alpha
    if alpha is None or min(tried) < alpha < max(tried):
        return None
    end = "smallest" if alpha <= min(tried) else "largest"
    return (
        f"maps to {forecast.direction.option}, of the {forecast.fit}: of the λ tried the {end}, "
        f"{alpha:g}, finds most; another beyond it may find more"
    )


def not_pairs(wrong: Misaligned, pairs: Pairs, feature_set: FeatureSet) -> str:
    """Return a sentence on rows that are no pairs."""
    rows = wrong.rows if pairs.rows is None else pairs.rows[wrong.rows]
    if feature_set.has_ids:
        ids = feature_set.ids()
        named = "items " + ", ".join(repr(ids[row]) for row in rows)
    else:
        named = "rows " + ", ".join(str(row) for row in rows)
    shifted = (
        ""
        if wrong.shift is None
        else (
            f"; the right new vector of many of them stands {counted(abs(wrong.shift), 'row')} "
            f"{'further down' if wrong.shift > 0 else 'further up'}"
        )
    )
    return (
        f"about {wrong.count} of {pairs.n} pairs look misaligned, their old and new vectors being of "
        f"different items: {named}{' …' if wrong.count > len(rows) else ''}{shifted}; put them right "
        "or leave them out, and plan again: they spoil the map, and the forecast counts them as misses"
    )


def in_groups(grouping: Grouping, pairs: Pairs, rows: Sequence[Row]) -> str:
    """Return a sentence on pairs that belong together, and what the forecast then is for."""
    sizes = np.bincount(grouping.groups)
    if grouping.how == FEW:
        return (
            f"the {pairs.n} pairs lie in {counted(grouping.n, 'tight group')} with nothing between, as pieces of "
            "one document do, fewer groups than folds: the forecast is for further items of these "
            "groups; none can be made for others, such as fresh documents"
        )
    row = next(row for row in rows if row["option"] == CONVERT)
    value, low, high = (100 * row[key] for key in ("recall_at_10", "ci_low", "ci_high"))
    where = (
        f"{counted(grouping.n, 'group')} of which the largest has {sizes.max()} of {pairs.n} pairs"
    )
    counts = {
        FILE: f"{grouping.name}: {where}",
        TIGHT: f"{grouping.grouped} of {pairs.n} pairs lie close together with nothing between, as "
        f"pieces of one document do ({where})",
    }.get(
        grouping.how, f"{grouping.grouped} of {pairs.n} pairs are near copies of others ({where})"
    )
    more = "" if grouping.how == FILE else "; --groups FILE says otherwise"
    return (
        f"{counts}: no fold parts a group, so the forecast (converting: recall@10 {value:.1f} %, "
        f"{low:.1f} to {high:.1f}) is for items of other groups, such as fresh documents, and would be "
        f"too low for further copies of these{more}"
    )


def labels_unused(work: Work) -> str:
    """Return a sentence on labels by which the truth hardly differs from chance."""
    top, chance = (
        100 * float(np.asarray(each.ndcg)[0]) for each in (work.reembed, work.judge.chance)
    )
    staying = "is weighed by them all the same" if work.judge.weighs_staying else "is not weighed"
    return (
        f"labels do not decide between ways to move: by them the new model's own neighbours (nDCG@10 "
        f"{top:.1f} %) are hardly, or not surely, told from a random order ({chance:.1f} %); recall@10 decides, and "
        f"staying with the old model {staying}"
    )


def _is_doubt(grouping: Grouping) -> bool:
    return grouping.how != FILE and grouping.grouped >= FEW_COPIES * len(grouping.groups)
