"""The open-set study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report import draw
from intertwine.report.numbers import (
    count,
    interval,
    number_of,
    share,
    signed,
    text_or_reason,
    unit,
)
from intertwine.report.page import Chart, Page, known
from intertwine.report.sentences import INTERCEPTS
from intertwine.report.shapes import Text, Tile
from intertwine.studies.open_set import page_tables as tables
from intertwine.studies.open_set import sentences
from intertwine.studies.open_set.figures import curve_figure, main_figure, rates_figure

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.open_set.lookup import OpenSetStudy


def summarise_open_set(study: OpenSetStudy) -> Page:
    """Return what the page of an open-set report shows; nothing in it is computed any further."""
    return Page(
        title=sentences.title(study),
        lede=sentences.lede(study),
        tiles=_tiles(study),
        sizes=sentences.sizes_sentence(study),
        matrix=main_figure(study),
        example=sentences.worked_example(study),
        charts={
            "roc": Chart(
                "Genuine pairs accepted over impostors accepted",
                rates_figure(study, deviate=False),
                draw.roc,
            ),
            "det": Chart(
                "Genuine pairs refused over impostors accepted",
                rates_figure(study, deviate=True),
                draw.roc,
            ),
            "curve": Chart(
                "Change in accuracy over the number of fit rows",
                curve_figure(study, "pairs"),
                draw.curve,
            ),
            "rank": Chart(
                "Change in accuracy over the rank of the map",
                curve_figure(study, "rank"),
                draw.curve,
            ),
        },
        tables={
            "natives": tables.natives_table(study),
            "pairs": tables.pairs_table(study),
            "rates": tables.rates_table(study),
            "folds": tables.folds_table(study),
            "curve": tables.curve_table(study, "pairs"),
            "rank": tables.curve_table(study, "rank"),
        },
        facts=_facts(study),
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
    )


def _facts(study: OpenSetStudy) -> dict[str, str]:
    return {
        "n_pairs": count(study["n_pairs"]),
        "chance": sentences.chance(study),
        "method": sentences.method_sentence(study),
        "fit": sentences.fit_sentence(study),
        "labels": "yes" if study["fit"] == "matched-pairs" else "",
        "threshold": sentences.THRESHOLDS.get(
            str(study["threshold"]), str(study["threshold"] or "")
        ),
        "shared": "yes" if study["space"] == "shared" else "",
        "interval": sentences.interval_sentence(study),
        "identity": sentences.identity_sentence(study),
        "made": study.stamp,
    }


def _tiles(study: OpenSetStudy) -> list[Tile]:
    middle, n = study["median_percent_change"], len(study.mapped)
    worst = study.extreme("percent_change", largest=False)
    lost = study.extreme("loss", largest=True)
    none = "no pair has a defined change"
    return [
        Tile(
            "Median change",
            text_or_reason(unit(signed(middle, study.places)), none),
            f"against the source’s own accuracy, over {number_of(n, 'pair')}",
            "",
        ),
        Tile(
            "Worst change",
            text_or_reason(unit(signed(study["worst_percent_change"], study.places)), none),
            _where(study, worst),
            "",
        ),
        Tile(
            "Worst loss",
            text_or_reason(sentences.points(study["worst_loss"], study.places), none),
            ""
            if lost is None
            else f"{_name(lost)}; against the weaker of the two, "
            f"{study.weaker(lost['source'], lost['target'])}",
            "",
        ),
        _no_map(study),
    ]


def _name(row: Row) -> str:
    return f"{row['source']} → {row['target']}"


def _where(study: OpenSetStudy, row: Row | None) -> str:
    if row is None:
        return ""
    low, high = row.get("percent_change_low"), row.get("percent_change_high")
    between = interval(low, high, study.places)
    return f"{_name(row)}; {study.confidence} interval {between}" if between else _name(row)


def _no_map(study: OpenSetStudy) -> Tile:
    middle = study.middle("identity_accuracy")
    best = study.extreme("identity_accuracy", largest=True)
    where = f"median; chance is {sentences.chance(study)}"
    if best is not None:
        highest = unit(share(best["identity_accuracy"], 1))
        where += f"; highest {highest}, {_name(best)}"
    reason = "no pair was compared without a map"
    return Tile("Without a map", text_or_reason(unit(share(middle, 1)), reason), where, "")


def _made(study: OpenSetStudy) -> list[tuple[str, Text]]:
    intercept, rank = str(study["intercept"] or ""), study["rank"]
    encoders = [
        (f"Encoder of {row['space']}", Text(str(row["encoder"]), kind="code"))
        for row in study["natives"]
        if row.get("encoder")
    ]
    items = [
        study.command,
        ("Protocol", Text(sentences.PROTOCOLS.get(str(study["protocol"]), ""))),
        ("Map", Text(sentences.method_sentence(study))),
        ("Fitted on", Text(sentences.fit_sentence(study))),
        ("Fit data", Text(", ".join(study["fit_inputs"] or ()), kind="code")),
        ("λ", Text(sentences.penalty_sentence(study))),
        ("Intercept", Text(INTERCEPTS.get(intercept, intercept))),
        ("Rank", Text("" if rank is None else str(rank))),
        ("Space compared in", Text(sentences.SPACES.get(str(study["space"]), ""))),
        ("Thresholds", Text(sentences.THRESHOLDS.get(str(study["threshold"]), ""))),
        ("Intervals", Text(sentences.interval_sentence(study))),
        ("Feature set", Text(", ".join(study["inputs"] or ()), kind="code")),
        ("Pairs file", Text(str(study["pairs_file"] or ""), kind="code")),
        ("Pairs", Text(_pairs(study))),
        *encoders,
    ]
    return known(items)


def _pairs(study: OpenSetStudy) -> str:
    folds = "" if study["n_folds"] is None else f", in {number_of(study['n_folds'], 'fold')}"
    return (
        f"{count(study['n_matched'])} of one person, {count(study['n_mismatched'])} of two{folds}"
    )
