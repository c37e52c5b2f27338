"""The linkage study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.draw import rate_panels
from intertwine.report.numbers import (
    chance,
    count,
    median,
    number_of,
    share,
    text_or_reason,
    unit,
)
from intertwine.report.page import Chart, Page, known
from intertwine.report.sentences import INTERCEPTS, METHODS
from intertwine.report.shapes import DASH, Text, Tile
from intertwine.report.tables import page_table
from intertwine.studies.linkage.figures import cmc_panels, known_panels, main_figure
from intertwine.studies.linkage.tables import LINKABLE, PAIRS, SCHEDULE, TRAINED_FIELDS

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.report.shapes import Table
    from intertwine.studies.linkage.lookup import LinkageStudy

ATTACKS = {
    "paired": "known pairs alone",
    "self-trained": "known pairs and unlabelled templates and probes",
    "both": "known pairs alone, and with unlabelled templates and probes",
}


def summarise_linkage(study: LinkageStudy) -> Page:
    """Return what the page of a linkage report shows; nothing in it is computed any further."""
    known, cmc = (known_panels(study), cmc_panels(study)) if study.couples else ([], [])
    return Page(
        title="How many known pairs make a withheld database linkable?",
        lede=_lede(study),
        tiles=_tiles(study),
        sizes=_sizes(study),
        matrix=main_figure(study),
        charts={
            "known": Chart("Linkage over the number of known pairs", known, rate_panels),
            "cmc": Chart("Share of probes found over rank", cmc, rate_panels),
        },
        tables={"linkable": _linkable_table(study), "pairs": _pairs_table(study)},
        facts=_facts(study),
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
    finding = (
        f"Without a map {unit(share(before, study.places))} of probes of another system find their "
        f"person first in the gallery; with {study.pairs_text(study.most)}, "
        f"{unit(share(middle, study.places))}"
    )
    end = f" Chance is {_chance(study)}.{_lede_trained(study)}"
    if len(rates) == 1:
        return f"{finding}.{end}"
    return (
        f"{finding} (medians over {count(len(rates))} pairs of systems; at most "
        f"{unit(share(best, study.places))}).{end}"
    )


def _lede_trained(study: LinkageStudy) -> str:
    """Return what unlabelled templates add where they add most, if they were used."""
    gains = [
        (after["rank1"] - before["rank1"], known)
        for (*_, known), before, after in (
            (key, study.row.get(key) or {}, row) for key, row in study.trained.items()
        )
        if after["rank1"] is not None and before.get("rank1") is not None
    ]
    if not gains:
        return ""
    known = max(gains)[1]
    before, after = (
        median(
            [
                rows[key]["rank1"]
                for key in study.trained
                if key[2] == known and key in rows and rows[key]["rank1"] is not None
            ]
        )
        for rows in (study.row, study.trained)
    )
    return (
        f" With unlabelled templates of both systems beside {study.pairs_text(known)}, "
        f"{unit(share(after, study.places))} in place of {unit(share(before, study.places))}."
    )


def _chance(study: LinkageStudy) -> str:
    return unit(chance(study.sized["chance"]))


def _tiles(study: LinkageStudy) -> list[Tile]:
    middle = median(_rates(study, study.most))
    native = study.median_native("rank1")
    return [
        Tile(
            f"Linked with {study.pairs_text(study.most)}",
            text_or_reason(unit(share(middle, study.places)), "no pair of systems was mapped"),
            "median rank-1 rate",
        ),
        _fewest(study, "Above chance from", "above_chance_from"),
        _fewest(study, "Half of native from", "half_of_native_from"),
        *_trained_tile(study),
        Tile(
            "Native",
            text_or_reason(unit(share(native, study.places)), "no system is on both sides"),
            "median rank-1 rate of a system’s own probes",
        ),
    ]


def _trained_tile(study: LinkageStudy) -> list[Tile]:
    if not study.trained:
        return []
    title = "Half of native from, with unlabelled templates"
    return [_fewest(study, title, "half_of_native_from_self_trained")]


def _fewest(study: LinkageStudy, title: str, key: str) -> Tile:
    reached = [(row[key], row) for row in study["linkable"] if row.get(key) is not None]
    if not reached:
        return Tile(title, text_or_reason(DASH, "not reached by any pair of systems"))
    fewest, row = min(reached, key=lambda each: int(each[0]))
    text = "no map" if fewest == 0 else count(fewest)
    where = f"known pairs; {row['source']} → {row['target']}"
    of = f"{count(len(reached))} of {count(len(study['linkable']))} pairs of systems"
    return Tile(title, Text(text), f"{where}; reached by {of}")


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
        "made": study.stamp,
    }


def _made(study: LinkageStudy) -> list[tuple[str, Text]]:
    inputs = study["inputs"] or {}
    lists = {key: ", ".join(map(str, inputs.get(key) or ())) for key in ("gallery", "probe")}
    method, intercept = str(study["method"]), str(study["intercept"])
    items = [
        study.command,
        ("Gallery", Text(lists["gallery"], kind="code")),
        ("Probes", Text(lists["probe"], kind="code")),
        ("Map", Text(METHODS.get(method, method))),
        ("λ", Text(str(study["alpha"]))),
        ("Intercept", Text(INTERCEPTS.get(intercept, intercept))),
        ("Known pairs tried", Text(", ".join(map(str, study.ladder)))),
        ("Maps from", Text(ATTACKS.get(str(study["attack"]), ""))),
        ("Overlap tried", Text(", ".join(f"{each:g}" for each in study["overlap"] or ()))),
        ("Folds of people", Text(count(study["folds"]))),
        ("Bootstrap samples of people", Text(count(study["replicates"]))),
        ("Confidence", Text(study.confidence)),
    ]
    return known(items)


def _linkable_table(study: LinkageStudy) -> Table:
    """Return how many known pairs make each gallery linkable."""
    natives = {row["target"]: study.native(row["target"]) or {} for row in study["linkable"]}
    rows = [
        {**row, "native": natives[row["target"]].get("rank1")} for row in study.rows("linkable")
    ]

    def rank1(row: Row, places: int) -> Text:
        last = study.row.get((row["source"], row["target"], study.most), {})
        return text_or_reason(share(last.get("rank1"), places), last.get("reason"))

    most = study.pairs_text(study.most)
    without = () if study.trained else TRAINED_FIELDS
    return page_table(
        LINKABLE, rows, study.places, show={"rank1": rank1}, without=without, most=most
    )


def _pairs_table(study: LinkageStudy) -> Table:
    """Return every condition in numbers."""
    without = () if study.trained else ("overlap", *SCHEDULE)
    return page_table(
        PAIRS, study.rows("pairs"), study.places, without=without, confidence=study.confidence
    )
