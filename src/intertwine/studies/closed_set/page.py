"""The closed-set study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    count,
    interval,
    plain,
    share,
    signed,
    text_or_reason,
    unit,
)
from intertwine.report.sentences import INTERCEPTS
from intertwine.report.shapes import DASH, Text, Tile
from intertwine.studies.closed_set import sentences, tables
from intertwine.studies.closed_set import tables as analytic_tables
from intertwine.studies.closed_set.figures import chance, learning_curve_figure, main_figure

if TYPE_CHECKING:
    from intertwine.report.shapes import Curve, Matrix, Table
    from intertwine.studies.closed_set.lookup import Study


@dataclass(frozen=True)
class ClosedSetPage:
    """What the page shows, top to bottom.

    Parameters
    ----------
    title, lede
        The question and the finding.
    tiles, sizes
        Headline numbers beside the paper's, and both studies' sizes.
    matrix, example
        The main figure, and one of its cells read aloud.
    facts
        Short texts that the page's own sentences quote, by name.
    tables
        The plain tables by name.
    curve
        Percent change over the number of fit rows.
    warnings
        What puts the results in question.
    notes
        What the study itself had to say.
    made
        How it was made: term and text.
    citation
        The paper.
    """

    title: str
    lede: str
    tiles: list[Tile]
    sizes: str
    matrix: Matrix
    example: str
    facts: dict[str, str]
    tables: dict[str, Table]
    curve: Curve
    warnings: list[str]
    notes: list[str]
    made: list[tuple[str, Text]]
    citation: str


def summarise_closed_set(study: Study) -> ClosedSetPage:
    """Turn a closed-set report into what its page shows.

    Parameters
    ----------
    study
        The report, checked.

    Returns
    -------
    page
        Plain text, shades and points; nothing in it is computed any further.
    """
    return ClosedSetPage(
        title=sentences.title(study),
        lede=sentences.lede(study),
        tiles=_tiles(study),
        sizes=sentences.sizes_sentence(study),
        matrix=main_figure(study),
        example=sentences.worked_example(study),
        facts=_facts(study),
        tables={
            "natives": tables.natives_table(study),
            "pairs": tables.pairs_table(study),
            "curve": tables.learning_curve_table(study),
            "baselines": tables.baselines_summary(study),
            "baselines_all": tables.baselines_table(study),
            "analytic": analytic_tables.analytic_summary(study),
            "analytic_all": analytic_tables.analytic_table(study),
            "contrast": analytic_tables.contrast_table(study),
        },
        curve=learning_curve_figure(study),
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
        citation=str((study["paper"] or {}).get("citation") or ""),
    )


def _facts(study: Study) -> dict[str, str]:
    return {
        "n_fit": count(study["n_fit"]),
        "n_eval": count(study["n_eval"]),
        "n_classes": count(study["n_classes"]),
        "n_controls": str(len(study.controls)),
        "chance": chance(study),
        "method": sentences.method_sentence(study),
        "fitted": "yes" if sentences.is_fitted(study) else "",
        "correlation": sentences.correlation_sentence(study),
        "made": " ".join(
            filter(None, ("Made with Intertwine", study["version"], study["created"]))
        ),
        "prior": str(study["prior"] or ""),
    }


def _tiles(study: Study) -> list[Tile]:
    paper = study["paper"] or {}
    n = len(study.counted(study["pairs"]))
    return [
        Tile(
            "Median change",
            _change(study, study["median_percent_change"]),
            f"over {count(n)} pairs",
            _theirs(paper.get("median_percent_change"), 2),
        ),
        Tile(
            "Worst change",
            _change(study, study["worst_percent_change"]),
            _worst(study),
            _theirs(paper.get("worst_percent_change"), 1),
        ),
        _gains(study),
        _control(study),
    ]


def _theirs(value: float | None, places: int) -> str:
    return "" if value is None else unit(plain(value, places))


def _change(study: Study, value: float | None) -> Text:
    return text_or_reason(unit(signed(value, study.places)), "no pair has a defined change")


def _worst(study: Study) -> str:
    pair = study["worst_pair"] or {}
    if not pair.get("source"):
        return ""
    row = study.pair.get((pair["source"], pair["target"]), {})
    between = interval(row.get("ci_low"), row.get("ci_high"), study.places)
    name = f"{pair['source']} → {pair['target']}"
    return f"{name}; 95{THIN}% interval {between}" if between else name


def _gains(study: Study) -> Tile:
    gains, paper = study["gains"] or {}, study["paper"] or {}
    best, where = gains.get("best"), "pairs that beat the target’s own network"
    if best:
        reached = unit(share(best.get("accuracy"), study.places))
        own = unit(share(best.get("native_accuracy_target"), study.places))
        where += f"; most: {best['source']} → {best['target']}, {reached} against {own}"
    number = gains.get("count")
    text = count(number) if number is None else f"{count(number)} of {count(gains.get('n_pairs'))}"
    return Tile("Gains", text_or_reason(text, "not counted"), where, str(paper.get("gain") or ""))


def _control(study: Study) -> Tile:
    best, paper = study["best_control_cell"] or {}, study["paper"] or {}
    level = paper.get("best_control_accuracy")
    there = "" if level is None else f"about {unit(share(level, 0))}"
    if not best.get("source"):
        reason = "no control was given" if not study.controls else "not measured"
        return Tile("Best cell with a control", text_or_reason(DASH, reason), reason, there)
    value = Text(unit(share(best.get("accuracy"), study.places)))
    where = f"{best['source']} → {best['target']}; chance is {chance(study)}"
    return Tile("Best cell with a control", value, where, there)


def _made(study: Study) -> list[tuple[str, Text]]:
    inputs = study["inputs"] or {}
    lists = {key: ", ".join(map(str, inputs.get(key) or ())) for key in ("fit", "eval")}
    intercept = str(study["intercept"])
    encoders = [
        (f"Encoder of {row['space']}", Text(str(row["encoder"]), kind="code"))
        for row in study.natives
        if row.get("encoder")
    ]
    items = [
        ("Map", Text(sentences.method_sentence(study))),
        ("λ", Text(sentences.penalty_sentence(study))),
        ("Intercept", Text(INTERCEPTS.get(intercept, intercept))),
        ("Precision", Text(str(study["precision"]))),
        ("Fit rows", Text(count(study["n_fit"]))),
        ("Fit set", Text(lists["fit"], kind="code")),
        ("Evaluation rows", Text(count(study["n_eval"]))),
        ("Evaluation set", Text(lists["eval"], kind="code")),
        ("Classes", Text(sentences.classes_sentence(study))),
        ("Controls", Text(", ".join(sorted(study.controls)) or "none")),
        *encoders,
    ]
    return [(term, text) for term, text in items if text.text]
