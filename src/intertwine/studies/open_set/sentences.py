"""Sentences that depend on how an open-set study was run and on what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    SPACE,
    count,
    number_of,
    penalty,
    plain,
    share,
    significant,
    unit,
)
from intertwine.report.sentences import METHODS
from intertwine.report.shapes import DASH

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.open_set.lookup import OpenSetStudy

FITS = {
    "matched-pairs": (
        "In each fold on the matched pairs of the other folds: the source’s features of a pair’s "
        "first image, the target’s of its second. It takes labels, which say who is one person"
    ),
    "images": (
        "In each fold on every image that the other folds’ pairs name, once, through both "
        "networks; people who appear in the fold left out are left out too. It takes no labels"
    ),
    "set": "Once, on the same rows of another feature set through both networks",
    "maps": "Ready-made: the maps were read from files and nothing was fitted here",
}
WITHIN = (
    ", and how one person’s images differ in each network counts into the penalty. It takes labels, "
    "which say who is one person"
)
FITTED = {"matched-pairs": "matched pairs", "images": "images"}
THRESHOLDS = {
    "train": "set on the mapped pairs of the other folds, which the map may have been fitted on",
    "crossfit": "set on the other folds’ pairs, each mapped by a map that was not fitted on it",
}
PROTOCOLS = {
    "paper": "paper: every choice as in McNeely-White et al., section 4 (arXiv 2010.02323)",
    "best": "best: chosen by cross-validation inside the training folds",
}
SPACES = {
    "target": "the target’s: its stored templates stay as they are, only the source is mapped",
    "shared": "a shared one: the source’s and the target’s templates are both mapped into it",
}


def title(study: OpenSetStudy) -> str:
    """Return the page's question."""
    n = len(study.names)
    if n < 2:
        return "One network by itself, on pairs of images"
    return f"How interchangeable are these {n} networks for verification?"


def lede(study: OpenSetStudy) -> str:
    """Return the finding in two or three sentences."""
    if len(study.names) < 2:
        return f"The study has one network, so there is no map. {natives_sentence(study)}"
    middle, n = study.middle("percent_change"), len(study.mapped)
    if middle is None:
        return f"No change in accuracy could be computed over the {count(n)} maps."
    size = unit(plain(abs(middle), study.places))
    verb = "gains" if middle > 0 else "loses"
    whom = f"the median of {number_of(n, 'pair')} of networks" if n > 1 else "the pair of networks"
    finding = (
        "Each pair of images is compared across two networks, one image’s embedding carried by a "
        f"map into the space of the other’s: {whom} {verb} {size} of the source’s own accuracy"
    )
    worst = study.extreme("loss", largest=True)
    return " ".join([f"{finding}{_worst(worst, study, n)}.", *_lines(study)])


def _worst(worst: Row | None, study: OpenSetStudy, n: int) -> str:
    if worst is None or n < 2:
        return ""
    if worst["loss"] <= 0:
        return ", and none does worse than the weaker of its two networks"
    size = points(worst["loss"], study.places)
    return f", and the worst loses {size} against the weaker of its two networks"


def _lines(study: OpenSetStudy) -> list[str]:
    """Return the ceiling and the floor, between which every map lies."""
    return [
        sentence for sentence in (natives_sentence(study), identity_sentence(study)) if sentence
    ]


def natives_sentence(study: OpenSetStudy) -> str:
    """Return what the networks reach by themselves, the ceiling."""
    owns = sorted(own for own in map(study.own, study.names) if own is not None)
    if not owns:
        return "No network’s own accuracy is defined."
    low, high = share(owns[0], study.places), share(owns[-1], study.places)
    reach = unit(high) if low == high else f"{low} to {unit(high)}"
    if len(study.names) == 1:
        return f"By itself it reaches {reach}."
    return f"By themselves the networks reach {reach}."


def identity_sentence(study: OpenSetStudy) -> str:
    """Return what comparing without a map reaches, the line to beat."""
    values = sorted(study.known("identity_accuracy"))
    if not values:
        return ""
    low, high = share(values[0], study.places), share(values[-1], study.places)
    reach = unit(high) if low == high else f"{low} to {unit(high)}"
    return f"Without a map the same comparison reaches {reach}; chance is {chance(study)}."


def chance(study: OpenSetStudy) -> str:
    """Return the accuracy of one answer to every pair."""
    return unit(f"{100 * study.chance:.3g}")


def points(value: float | None, places: int) -> str:
    """Return a difference of two percentages."""
    if value is None:
        return DASH
    text = plain(value, places)
    return f"{text}{SPACE}point{'' if abs(value) == 1 else 's'}"


def method_sentence(study: OpenSetStudy) -> str:
    """Return what kind of map it is."""
    sentence = METHODS.get(str(study["method"]), f"Method {study['method']}")
    return (
        f"{sentence}. Here b is 0"
        if study["intercept"] == "none" and " b " in sentence
        else sentence
    )


def fit_sentence(study: OpenSetStudy) -> str:
    """Return what the maps were fitted on."""
    if study["method"] == "identity":
        return "Nothing was fitted"
    sentence = FITS.get(str(study["fit"]), f"On {study['fit']}")
    # Our own protocol also asks who is shown: how one person's images differ is part of its penalty.
    return (
        sentence.replace(". It takes no labels", WITHIN)
        if study["protocol"] == "best"
        else sentence
    )


def fitted_on(study: OpenSetStudy) -> str:
    """Return what the maps were fitted on, in the words of a caption."""
    if study["method"] == "identity":
        return ""
    said = {"set": ", fitted on another set", "maps": ", ready-made"}
    rows = FITTED.get(str(study["fit"]))
    return said.get(str(study["fit"]), "") if rows is None else f", fitted on {rows}"


def fit_size(study: OpenSetStudy) -> str:
    """Return how many rows the maps were fitted on, as one number or a range."""
    sizes = [int(size) for size in study.known("n_fit")]
    if not sizes or study["fit"] == "maps":
        return ""
    low, high = min(sizes), max(sizes)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def sizes_sentence(study: OpenSetStudy) -> str:
    """Return how much data there was and what the maps were fitted on."""
    folds, people = study["n_folds"], study["n_people"]
    within = f" of {number_of(people, 'person', 'people')}" if people is not None else ""
    images = study["n_images"]
    taken = f" from {number_of(images, 'image')}{within}" if images is not None else within
    sentence = (
        f"{number_of(study['n_pairs'], 'pair')}{taken}: {count(study['n_matched'])} of one person, "
        f"{count(study['n_mismatched'])} of two"
    )
    sentence += f"; {number_of(folds, 'fold')}." if folds is not None else "."
    if size := fit_size(study):
        unit_ = FITTED.get(str(study["fit"]), "rows")
        each = " in each fold" if study["fit"] in FITTED else ""
        sentence += f" Each map is fitted{each} on {size} {unit_}."
    return sentence


def penalty_sentence(study: OpenSetStudy) -> str:
    """Return λ as it was asked for, and what it came to where it was chosen."""
    asked, found = study["alpha"], sorted(study.known("alpha"))
    if asked is None:
        return ""
    if isinstance(asked, int | float):
        return f"{significant(asked)}, the same for every pair"
    if not found:
        return str(asked)
    span = penalty({"alpha": study.middle("alpha"), "alpha_min": found[0], "alpha_max": found[-1]})
    return f"{asked}; median (range) over pairs {span}"


def interval_sentence(study: OpenSetStudy) -> str:
    """Return what the intervals are and what they do not cover."""
    draws = "" if study["replicates"] is None else f", {count(study['replicates'])} draws"
    refit = (
        "The maps are fitted again for each draw"
        if study["refit"]
        else "The maps are not fitted again, so it does not cover the choice of fit data"
    )
    return (
        f"{study.confidence} bootstrap over people, not over pairs{draws}: a matched pair counts "
        "as often as its person was drawn, a mismatched pair as the product of both its people’s "
        f"counts. {refit}"
    )


def worked_example(study: OpenSetStudy) -> str:
    """Return the first pair of the table in a sentence."""
    for row in study.mapped:
        a, b, change = row["source"], row["target"], row.get("percent_change")
        own = study.own(a)
        if own is None or change is None or row.get("accuracy") is None:
            continue
        more = "higher" if change > 0 else "lower"
        return (
            f"For example, with {a}’s embedding of the first image mapped and compared to "
            f"{b}’s of the second, {unit(share(row['accuracy'], study.places))} of the pairs are "
            f"told right. {a} by itself tells {unit(share(own, study.places))}, so the cell is "
            f"{unit(plain(abs(change), study.places))} {more}."
        )
    return ""
