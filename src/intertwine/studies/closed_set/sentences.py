"""Sentences that depend on how a study was run: method, λ, intercept, findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.estimators.methods import UNFITTED
from intertwine.report.numbers import count, number_of, plain, share, significant, unit
from intertwine.report.sentences import GCV, METHODS

if TYPE_CHECKING:
    from intertwine.studies.closed_set.lookup import ClosedSetStudy


def method_sentence(study: ClosedSetStudy) -> str:
    """Return how the maps were fitted."""
    method = str(study["method"])
    sentence = METHODS.get(method, f"Method {method}")
    if study["prior"]:
        sentence += f". Here it is M’s distance from the {study['prior']} map that λ penalises"
    return sentence


def is_fitted(study: ClosedSetStudy) -> bool:
    """Return whether the maps were fitted to both networks' features."""
    return study["method"] not in UNFITTED


def penalty_sentence(study: ClosedSetStudy) -> str:
    """Return where λ came from and what it came to."""
    alpha = str(study["alpha"])
    if alpha not in {"gcv", "gcv-per-target"}:
        return f"{alpha}, the same for every pair"
    each = "each target dimension of each pair" if alpha == "gcv-per-target" else "each pair"
    rows = study.counted(study["pairs"])
    lows = [row.get("alpha_min") or row.get("alpha") for row in rows]
    highs = [row.get("alpha_max") or row.get("alpha") for row in rows]
    low = min((value for value in lows if value is not None), default=None)
    high = max((value for value in highs if value is not None), default=None)
    between = "" if low is None else f"; from {significant(low)} to {significant(high)}"
    return f"one for {each}, {GCV}{between}"


def title(study: ClosedSetStudy) -> str:
    """Return the page's question."""
    n = len(study.networks)
    return f"How interchangeable are these {n} networks?" if n > 1 else "One network by itself"


def lede(study: ClosedSetStudy) -> str:
    """Return the finding in one or two sentences."""
    middle, worst = study["median_percent_change"], study["worst_percent_change"]
    n = len(study.counted(study["pairs"]))
    if middle is None:
        return f"No change in accuracy could be computed over the {count(n)} pairs."
    lead = (
        "Carried into another network’s feature space by one affine map and read by that "
        "network’s classifier, features"
    )
    home = "of their own network’s accuracy"
    if study["overlap"]:
        lead = f"On rows that maps were fitted on too, and so too well: {lead[0].lower()}{lead[1:]}"
    finding = f"{lead} {_verb(middle)} a median of {_size(study, middle)} {home}."
    if worst is None or n < 2:
        return finding
    return f"{finding} The worst of {count(n)} pairs {_verb(worst)}s {_size(study, worst)}."


def _verb(change: float) -> str:
    return "gain" if change > 0 else "lose"


def _size(study: ClosedSetStudy, change: float) -> str:
    return unit(plain(abs(change), study.places))


def correlation_sentence(study: ClosedSetStudy) -> str:
    """Return whether the weakest networks lose most, as the paper found."""
    correlation = study["loss_and_source_accuracy"] or {}
    n, rho = correlation.get("n_networks"), correlation.get("spearman")
    if rho is None:
        reason = correlation.get("reason") or "not measured"
        return f"Whether weaker sources lose more is undefined here: {reason}."
    p_value = correlation.get("p_value")
    size = f"{count(n)} networks"
    if p_value is not None:
        size += f", p\u00a0=\u00a0{significant(p_value, 2)} by permuting them"
    sentence = (
        "Here, over the pairs, Spearman’s ρ between the source’s own accuracy and the loss is "
        f"{plain(rho, 2)}"
    )
    few = " So few networks settle nothing." if n is not None and n < 8 else ""
    return f"{sentence} ({size}); below zero means that weaker sources lose more.{few}"


def worked_example(study: ClosedSetStudy) -> str:
    """Return the first pair of the table in a sentence."""
    for source in study.networks:
        for target in study.networks:
            row = study.pair.get((source, target), {})
            own = study.own(source)
            change = row.get("percent_change")
            if source == target or own is None or change is None or row.get("accuracy") is None:
                continue
            more = "higher" if change > 0 else "lower"
            return (
                f"For example, {source}’s features, mapped and read by {target}’s classifier, "
                f"are labelled right on {unit(share(row['accuracy'], study.places))} of the "
                f"evaluation rows. {source} by itself is right on "
                f"{unit(share(own, study.places))}, so the cell is "
                f"{_size(study, change)} {more}."
            )
    return ""


def sizes_sentence(study: ClosedSetStudy) -> str:
    """Return both studies' sizes side by side."""
    paper = study["paper"] or {}
    n = len(study.counted(study["pairs"]))
    here = (
        f"Here: {number_of(n, 'map')}, fitted on {number_of(study['n_fit'], 'row')} and scored on "
        f"{count(study['n_eval'])}."
    )
    if paper.get("n_fit") is None:
        return here
    there = (
        f"The paper: {number_of(paper.get('n_maps'), 'map')}, fitted on {number_of(paper['n_fit'], 'row')} "
        f"and scored on {count(paper.get('n_eval'))}."
    )
    ours = study["n_fit"]
    if ours is None or ours >= paper["n_fit"]:
        return f"{here} {there}"
    why = "Fewer fit rows make a worse map; the curve below shows by how much."
    return f"{here} {there} {why}"


def classes_sentence(study: ClosedSetStudy) -> str:
    """Return how many classes there are and how many the evaluation rows hold."""
    text = count(study["n_classes"])
    seen = study["classes_in_eval"]
    within = "" if seen is None else f", of which the evaluation rows hold {count(seen)}"
    return f"{text}{within}"
