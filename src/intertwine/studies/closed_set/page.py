"""The closed-set study's page: everything that is shown, as display text in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report import draw
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
from intertwine.report.page import Chart, Page, known
from intertwine.report.sentences import INTERCEPTS
from intertwine.report.shapes import DASH, Text, Tile
from intertwine.studies.closed_set import page_tables as tables
from intertwine.studies.closed_set import sentences
from intertwine.studies.closed_set.figures import chance, learning_curve_figure, main_figure

if TYPE_CHECKING:
    from intertwine.studies.closed_set.lookup import ClosedSetStudy


def summarise_closed_set(study: ClosedSetStudy) -> Page:
    """Return what the page of a closed-set report shows; nothing in it is computed any further."""
    curve = learning_curve_figure(study)
    return Page(
        title=sentences.title(study),
        lede=sentences.lede(study),
        tiles=_tiles(study),
        sizes=sentences.sizes_sentence(study),
        matrix=main_figure(study),
        example=sentences.worked_example(study),
        charts={"curve": Chart(f"{curve.y_title}, over {curve.x_title}", curve, draw.curve)},
        tables={
            "natives": tables.natives_table(study),
            "pairs": tables.pairs_table(study),
            "curve": tables.learning_curve_table(study),
            "baselines": tables.baselines_summary(study),
            "baselines_all": tables.baselines_table(study),
            "analytic": tables.analytic_summary(study),
            "analytic_all": tables.analytic_table(study),
            "contrast": tables.contrast_table(study),
        },
        facts=_facts(study),
        warnings=study.warnings,
        notes=study.remarks,
        made=_made(study),
        more={"citation": str((study["paper"] or {}).get("citation") or "")},
    )


def _facts(study: ClosedSetStudy) -> dict[str, str]:
    return {
        "n_fit": count(study["n_fit"]),
        "n_eval": count(study["n_eval"]),
        "n_classes": count(study["n_classes"]),
        "n_controls": str(len(study.controls)),
        "chance": chance(study),
        "method": sentences.method_sentence(study),
        "fitted": "yes" if sentences.is_fitted(study) else "",
        "correlation": sentences.correlation_sentence(study),
        "made": study.stamp,
        "prior": str(study["prior"] or ""),
    }


def _tiles(study: ClosedSetStudy) -> list[Tile]:
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


def _change(study: ClosedSetStudy, value: float | None) -> Text:
    return text_or_reason(unit(signed(value, study.places)), "no pair has a defined change")


def _worst(study: ClosedSetStudy) -> str:
    pair = study["worst_pair"] or {}
    if not pair.get("source"):
        return ""
    row = study.pair.get((pair["source"], pair["target"]), {})
    between = interval(row.get("ci_low"), row.get("ci_high"), study.places)
    name = f"{pair['source']} → {pair['target']}"
    return f"{name}; 95{THIN}% interval {between}" if between else name


def _gains(study: ClosedSetStudy) -> Tile:
    gains, paper = study["gains"] or {}, study["paper"] or {}
    best, where = gains.get("best"), "pairs that beat the target’s own network"
    if best:
        reached = unit(share(best.get("accuracy"), study.places))
        own = unit(share(best.get("native_accuracy_target"), study.places))
        where += f"; most: {best['source']} → {best['target']}, {reached} against {own}"
    number = gains.get("count")
    text = count(number) if number is None else f"{count(number)} of {count(gains.get('n_pairs'))}"
    return Tile("Gains", text_or_reason(text, "not counted"), where, str(paper.get("gain") or ""))


def _control(study: ClosedSetStudy) -> Tile:
    best, paper = study["best_control_cell"] or {}, study["paper"] or {}
    level = paper.get("best_control_accuracy")
    there = "" if level is None else f"about {unit(share(level, 0))}"
    if not best.get("source"):
        reason = "no control was given" if not study.controls else "not measured"
        return Tile("Best cell with a control", text_or_reason(DASH, reason), reason, there)
    value = Text(unit(share(best.get("accuracy"), study.places)))
    where = f"{best['source']} → {best['target']}; chance is {chance(study)}"
    return Tile("Best cell with a control", value, where, there)


def _made(study: ClosedSetStudy) -> list[tuple[str, Text]]:
    inputs = study["inputs"] or {}
    lists = {key: ", ".join(map(str, inputs.get(key) or ())) for key in ("fit", "eval")}
    intercept = str(study["intercept"])
    encoders = [
        (f"Encoder of {row['space']}", Text(str(row["encoder"]), kind="code"))
        for row in study.natives
        if row.get("encoder")
    ]
    items = [
        study.command,
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
    return known(items)
