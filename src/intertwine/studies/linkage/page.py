"""The linkage study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    count,
    median,
    number_of,
    share,
    text_or_reason,
    unit,
)
from intertwine.report.sentences import INTERCEPTS, METHODS
from intertwine.report.shapes import DASH, Text, Tile
from intertwine.studies.linkage.figures import cmc_panels, known_panels, main_figure
from intertwine.studies.linkage.tables import linkable_table, pairs_table

if TYPE_CHECKING:
    from intertwine.report.shapes import Matrix, RatePanel, Table
    from intertwine.studies.linkage.lookup import LinkageStudy


@dataclass(frozen=True)
class LinkagePage:
    """What the page shows, top to bottom.

    Parameters
    ----------
    title, lede
        The question and the finding.
    tiles, sizes
        Headline numbers, and how much data there was.
    matrix
        The main figure.
    known, cmc
        Rates over known pairs, and over rank; empty without a pair of two systems.
    facts
        Short texts that the page's own sentences quote, by name.
    tables
        The plain tables by name.
    warnings
        What puts the results in question.
    notes
        What the study itself had to say.
    made
        How it was made: term and text.
    """

    title: str
    lede: str
    tiles: list[Tile]
    sizes: str
    matrix: Matrix
    known: list[RatePanel]
    cmc: list[RatePanel]
    facts: dict[str, str]
    tables: dict[str, Table]
    warnings: list[str]
    notes: list[str]
    made: list[tuple[str, Text]]


def summarise_linkage(study: LinkageStudy) -> LinkagePage:
    """Turn a linkage report into what its page shows.

    Parameters
    ----------
    study
        The report, checked.

    Returns
    -------
    page
        Plain text, shades and points; nothing in it is computed any further.
    """
    return LinkagePage(
        title="How many known pairs make a withheld database linkable?",
        lede=_lede(study),
        tiles=_tiles(study),
        sizes=_sizes(study),
        matrix=main_figure(study),
        known=known_panels(study) if study.couples else [],
        cmc=cmc_panels(study) if study.couples else [],
        facts=_facts(study),
        tables={"linkable": linkable_table(study), "pairs": pairs_table(study)},
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
    )


def _rates(study: LinkageStudy, known: int) -> list[float]:
    rows = [study.row.get((*couple, known), {}) for couple in study.couples]
    return [row["rank1"] for row in rows if row.get("rank1") is not None]


def _lede(study: LinkageStudy) -> str:
    rates = _rates(study, study.most)
    if not rates:
        return "There is no pair of two systems, so nothing was mapped."
    middle, before = median(rates), median(_rates(study, 0))
    best = max(rates)
    said = (
        f"Without a map {unit(share(before, study.places))} of probes of another system find their "
        f"person first in the gallery; with {study.pairs_text(study.most)}, "
        f"{unit(share(middle, study.places))}"
    )
    if len(rates) == 1:
        return f"{said}. Chance is {_chance(study)}."
    return (
        f"{said} (medians over {count(len(rates))} pairs of systems; at most "
        f"{unit(share(best, study.places))}). Chance is {_chance(study)}."
    )


def _chance(study: LinkageStudy) -> str:
    value = study.sized["chance"]
    return DASH if value is None else f"{100 * value:.2g}{THIN}%"


def _tiles(study: LinkageStudy) -> list[Tile]:
    middle = median(_rates(study, study.most))
    owns = [row["rank1"] for name in study.names if (row := study.native(name)) is not None]
    own = median([rate for rate in owns if rate is not None])
    return [
        Tile(
            f"Linked with {study.pairs_text(study.most)}",
            text_or_reason(unit(share(middle, study.places)), "no pair of systems was mapped"),
            "median rank-1 rate",
            "",
        ),
        _fewest(study, "Above chance from", "above_chance_from"),
        _fewest(study, "Half of native from", "half_of_native_from"),
        Tile(
            "Native",
            text_or_reason(unit(share(own, study.places)), "no system is on both sides"),
            "median rank-1 rate of a system’s own probes",
            "",
        ),
    ]


def _fewest(study: LinkageStudy, title: str, key: str) -> Tile:
    known = [(row[key], row) for row in study["linkable"] if row[key] is not None]
    if not known:
        return Tile(title, text_or_reason(DASH, "not reached by any pair of systems"), "", "")
    fewest, row = min(known, key=lambda each: int(each[0]))
    text = "no map" if fewest == 0 else count(fewest)
    where = f"known pairs; {row['source']} → {row['target']}"
    reached = (
        f"; reached by {count(len(known))} of {count(len(study['linkable']))} pairs of systems"
    )
    return Tile(title, Text(text), where + reached, "")


def _sizes(study: LinkageStudy) -> str:
    row = study.sized
    return (
        f"{number_of(row['n_probes'], 'probe')} of {number_of(row['n_people'], 'person', 'people')}, searched for in "
        f"{number_of(row['n_templates'], 'template')} of {number_of(row['n_gallery'], 'person', 'people')}."
    )


def _facts(study: LinkageStudy) -> dict[str, str]:
    method = str(study["method"])
    return {
        "confidence": study.confidence,
        "folds": count(study["folds"]),
        "most": count(study.most),
        "chance": _chance(study),
        "replicates": count(study["replicates"]),
        "method": METHODS.get(method, f"Method {method}"),
        "made": " ".join(
            filter(None, ("Made with Intertwine", study["version"], study["created"]))
        ),
    }


def _made(study: LinkageStudy) -> list[tuple[str, Text]]:
    inputs = study["inputs"] or {}
    lists = {key: ", ".join(map(str, inputs.get(key) or ())) for key in ("gallery", "probe")}
    method, intercept = str(study["method"]), str(study["intercept"])
    items = [
        ("Gallery", Text(lists["gallery"], kind="code")),
        ("Probes", Text(lists["probe"], kind="code")),
        ("Map", Text(METHODS.get(method, method))),
        ("λ", Text(str(study["alpha"]))),
        ("Intercept", Text(INTERCEPTS.get(intercept, intercept))),
        ("Known pairs tried", Text(", ".join(map(str, study.ladder)))),
        ("Folds of people", Text(count(study["folds"]))),
        ("Bootstrap samples of people", Text(count(study["replicates"]))),
        ("Confidence", Text(study.confidence)),
    ]
    return [(term, text) for term, text in items if text.text]
