"""Sentences that depend on what a similarity study found and on how it was run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.report.numbers import (
    SPACE,
    THIN,
    count,
    interval,
    number_of,
    plain,
    scored,
    significant,
)

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.similarity.lookup import SimilarityStudy

ANGLES = {"procrustes"}  # measured in radians


def unit(measure: Row, value: float | None) -> str:
    """Return the unit behind a raw score, with its space."""
    return f"{THIN}rad" if measure["name"] in ANGLES and value is not None else ""


def direction(measure: Row) -> str:
    """Return notes on a measure of which smaller is more similar, or that depends on direction."""
    notes = []
    if not measure["larger_is_more_similar"]:
        notes.append("Smaller raw scores are more similar; the calibrated score turns that round.")
    if not measure["symmetric"]:
        notes.append("Not symmetric: from the space of the row to that of the column.")
    return " ".join(notes)


def kinds(study: SimilarityStudy) -> str:
    """Return what is compared: so many networks, or layers of so many networks."""
    spaces, networks = len(study.counted), len(study.networks)
    if study.layered:
        whose = "one network" if networks == 1 else number_of(networks, "network")
        return f"{number_of(spaces, 'layer')} of {whose}"
    return number_of(networks, "network")


def title(study: SimilarityStudy) -> str:
    """Return the page's question."""
    if len(study.counted) < 2:
        return "How similar is one network to the controls?"
    return f"How similar are these {kinds(study)}?"


def ranked(study: SimilarityStudy) -> list[tuple[float, str, str]]:
    """Return the pairs without a control by the headline's calibrated score, most alike first."""
    measure = study.headline
    scores = [
        (study.score(a, b, measure).calibrated, a, b)
        for a, b in study.couples(study.counted, measure)
    ]
    return sorted(((s, a, b) for s, a, b in scores if s is not None), key=lambda row: -row[0])


def lede(study: SimilarityStudy) -> str:
    """Return the finding in one or two sentences."""
    order, name = ranked(study), in_sentence(study.headline["title"])
    if len(study.counted) < 2:
        return "There is no pair without a control."
    if not order:
        a, b = study.couples(study.counted, study.headline)[0]
        reason = study.score(a, b, study.headline).reason.rstrip(".")
        return f"No pair has a defined calibrated score ({name}): {reason}."
    scale = "On this scale 0 is what unrelated spaces of the same size give and 1 a space against itself"
    (_, a, b), (_, c, d) = order[0], order[-1]
    if len(order) == 1:
        return f"{a} and {b}: calibrated score {calibrated(study, a, b)} ({name}). {scale}."
    return (
        f"Most alike: {a} and {b}, calibrated score {calibrated(study, a, b)} ({name}). "
        f"Least alike: {c} and {d}, {calibrated(study, c, d)}. {scale}."
    )


def calibrated(study: SimilarityStudy, a: str, b: str) -> str:
    """Return the headline's calibrated score of a pair with its interval."""
    score = study.score(a, b, study.headline)
    between = interval(score.calibrated_low, score.calibrated_high, 2)
    return scored(plain(score.calibrated, 2), between)


def in_sentence(name: str) -> str:
    """Return a measure's title for the middle of a sentence; names and letters stay capital."""
    kept = name.startswith("Procrustes") or not name[1:2].islower()
    return name if kept else name[:1].lower() + name[1:]


def sizes_sentence(study: SimilarityStudy) -> str:
    """Return how much data there was and how the intervals were made."""
    n, groups, sample = study["n"], study["n_groups"], study["sample_rows"]
    networks, controls = len(study.counted), len(study.controls & set(study.names))
    sentence = f"{number_of(networks * (networks - 1) // 2, 'pair')} of {kinds(study)}"
    if controls:
        with_control = controls * networks + controls * (controls - 1) // 2
        sentence += f", and {number_of(with_control, 'pair')} with a control"
    sentence += f", over {number_of(n, 'row')}."
    if groups is None:
        sentence += " The input was a file of moments, without rows."
    else:
        sentence += (
            f" Measures from moments: intervals by jackknife over {count(groups)} row groups."
        )
    if sample is not None and any(measure["kind"] == "rows" for measure in study.measures):
        sentence += f" Measures from rows: a sample of {number_of(sample, 'row')}."
    return sentence


def worked_example(study: SimilarityStudy) -> str:
    """Return the pair most alike in a sentence, by the first measure whose null is not 0."""
    measures = [measure for measure in study.measures if study.has_null(measure)]
    for measure in [*measures, study.headline]:
        for _, a, b in ranked(study):
            score = study.score(a, b, measure)
            if score.raw is None or score.null is None or score.calibrated is None:
                continue
            best = significant(measure["best"])
            return (
                f"For example, by {in_sentence(str(measure['title']))} {a} and {b} have a raw "
                f"score of {plain(score.raw, 3)}. Unrelated spaces of their size would have "
                f"{plain(score.null, 3)}, so the cell shows ({plain(score.raw, 3)} − "
                f"{plain(score.null, 3)}) / ({best} − {plain(score.null, 3)}) = "
                f"{plain(score.calibrated, 2)}."
            )
    return ""


def prediction(study: SimilarityStudy) -> str:
    """Return which measure predicts interchangeability, and whether the intervals support it.

    Two measures differ only when their intervals do not overlap: the measures are scored on
    the same pairs, so this is strict.
    """
    known = by_correlation(study)
    if not known:
        reasons = [row.get("reason") for row in study["interchangeability"]]
        reason = next(filter(None, reasons), "no measure has a rank correlation")
        return f"Which measure predicts interchangeability is undefined: {reason.rstrip('.')}."
    best, others = known[0], known[1:]
    networks = best.get("n_networks")
    said = (
        f"The measure that goes with swap accuracy best here is {_name(study, best)}: "
        f"ρ{SPACE}={SPACE}{correlation(best)}"
        f" over {number_of(best.get('n_pairs'), 'pair')} of {number_of(networks, 'network')}."
    )
    return f"{said} {_verdict(study, best, others)}"


def _verdict(study: SimilarityStudy, best: Row, others: list[Row]) -> str:
    if best.get("ci_low") is None:
        why = best.get("reason") or "no interval could be computed"
        return f"Whether that is more than chance cannot be said: {why.rstrip('.')}."
    above = [row for row in [best, *others] if (row.get("ci_low") or 0.0) > 0]
    if not above:
        return (
            "Its interval includes 0, and so does that of every other measure: these networks do "
            "not show that any measure predicts interchangeability."
        )
    rivals = [r for r in others if r.get("ci_high") is None or r["ci_high"] >= best["ci_low"]]
    zero = "" if best in above else " Its own interval includes 0."
    if not rivals:
        return f"Its interval lies above that of every other measure.{zero}" if others else zero
    most = "every other measure" if len(rivals) == len(others) else f"{len(rivals)} of the others"
    positive = (
        "those of all measures"
        if len(above) == len(others) + 1
        else f"{'that' if len(above) == 1 else 'those'} of "
        + ", ".join(_name(study, row) for row in above)
    )
    return (
        f"Whether it is the best the intervals cannot tell: its own meets that of {most}.{zero} "
        f"Wholly above 0 {'lies' if len(above) == 1 else 'lie'} {positive}."
    )


def by_correlation(study: SimilarityStudy) -> list[Row]:
    """Return the measures whose rank correlation is defined, the best predictor first."""
    rows = [row for row in study["interchangeability"] if row.get("spearman") is not None]
    return sorted(rows, key=lambda row: -float(row["spearman"]))


def correlation(row: Row) -> str:
    """Return a rank correlation with its interval."""
    between = interval(row.get("ci_low"), row.get("ci_high"), 2)
    return scored(plain(row.get("spearman"), 2), between)


def _name(study: SimilarityStudy, row: Row) -> str:
    titles: dict[str, Any] = {measure["name"]: measure["title"] for measure in study.measures}
    return in_sentence(str(titles.get(row["measure"], row["measure"])))


def share_sentence(study: SimilarityStudy) -> str:
    """Return how much of the distances the map shows, and whether they differ enough for one."""
    share = study["mds"].get("share")
    if share is None:
        return ""
    sentence = (
        f"The plane holds {plain(100 * share, 0)}{THIN}% of what the distances hold (the share of "
        "the positive eigenvalues)."
    )
    measure = next((m for m in study.measures if m["name"] == study["mds"].get("measure")), None)
    if measure is None:
        return sentence
    raws = [study.score(*pair, measure).raw for pair in study.couples(study.names, measure)]
    distances = [raw for raw in raws if raw is not None]
    low, high = min(distances, default=0.0), max(distances, default=0.0)
    if len(distances) < 3 or high - low >= high / 3:
        return sentence
    return (
        f"{sentence} All distances are nearly equal, from {plain(low, 2)} to {plain(high, 2)}"
        f"{unit(measure, high)}: every space is about as far from every other, and what looks like "
        "a group may be none."
    )
