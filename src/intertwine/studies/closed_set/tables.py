"""The closed-set study's tables, each declared once."""

from __future__ import annotations

from typing import Any

from intertwine.report.numbers import count, penalty, plain, share
from intertwine.report.schema import REASON, Field, Row, TableSchema
from intertwine.report.shapes import DASH, Text

ENDS = ("ci_low", "ci_high")
INTERVAL, PAIRED = "95 % interval", "paired bootstrap over the evaluation rows"
BASELINE_LINES = {"identity": "Do nothing", "mean": "Mean vector"}


def _published(figure: Any) -> str:
    """Return a published accuracy in %; makers and encoders state it as a share of 1 too."""
    if not isinstance(figure, int | float):
        return DASH if figure is None else str(figure)
    return share(figure, 2) if figure <= 1 else plain(figure, 2)


def _crop(crop: Any) -> str:
    """Return the size of an input; any other value of a user's own record as it is."""
    sizes = crop if isinstance(crop, list) else [crop]
    return DASH if not sizes or None in sizes else "×".join(map(str, sizes))


def _parameters(number: Any) -> str:
    if not isinstance(number, int | float):
        return DASH if number is None else str(number)
    return f"{number / 1e6:.1f} M" if number >= 100_000 else count(int(number))


def _line(row: Row, _: int) -> Text:
    name: str = row["baseline"]
    return Text(BASELINE_LINES.get(name, name), note=row.get("form") or "")


def _chance(row: Row, _: int) -> str:
    level = row.get("chance")
    return DASH if level is None else f"{100 * level:.3g}"


PAIR = (Field("source", "name", "Source"), Field("target", "name", "Target"))
TOP1 = Field("accuracy", title="Top-1, %", note="share of evaluation rows labelled right")
CHANGE = (
    "percent_change",
    "percent",
    "Change, %",
    "against the accuracy of the source’s own network",
)
CHANGE_WITH_INTERVAL = Field(*CHANGE, interval=ENDS, interval_title=INTERVAL, interval_note=PAIRED)

NATIVES = TableSchema(
    "natives",
    "Each network by itself, its own features in its own classifier.",
    (
        Field("space", "name", "Network"),
        Field("control", "flag"),
        Field(
            "accuracy",
            title="Measured top-1, %",
            note="here, on the evaluation rows",
            interval=ENDS,
            interval_title=INTERVAL,
            interval_note=PAIRED,
            after="paper_top1",
        ),
        Field("top5", title="Top-5, %", after="accuracy"),
        Field(
            "reported_top1",
            "record",
            "Reported top-1, %",
            note="as its makers published it",
            missing="no published figure was given",
            show=lambda row, _: _published(row.get("reported_top1")),
        ),
        Field(
            "paper_top1",
            "record",
            "Paper’s top-1, %",
            note="as the paper measured it",
            missing="not a network of the paper’s table",
            show=lambda row, _: _published(row.get("paper_top1")),
        ),
        Field(
            "crop",
            "record",
            "Crop",
            note="input size in pixels",
            missing="not known",
            show=lambda row, _: _crop(row.get("crop")),
        ),
        Field(
            "dimension",
            "count",
            "Dimension",
            note="numbers in one feature vector",
            missing="not known",
        ),
        Field(
            "parameters",
            "record",
            "Parameters",
            missing="not known",
            show=lambda row, _: _parameters(row.get("parameters")),
        ),
        Field("encoder", "text"),
    ),
)
PAIRS = TableSchema(
    "pairs",
    "Off the diagonal, one row a map.",
    (
        *PAIR,
        TOP1,
        Field("top5", title="Top-5, %", after="alpha"),
        CHANGE_WITH_INTERVAL,
        Field(
            "percent_change_target",
            "percent",
            "Against target, %",
            note="change against the target network’s own accuracy",
        ),
        Field(
            "agreement",
            title="Agreement, %",
            note="rows given the same label as by the target network itself",
        ),
        Field("r2", "number", "R²", note="of the mapped features, on the evaluation rows"),
        Field(
            "alpha",
            "penalty",
            "λ",
            note="the penalty used; median and range when there is one a target",
            show=lambda row, _: penalty(row),
        ),
        Field("alpha_min", "penalty"),
        Field("alpha_max", "penalty"),
        Field("control", "flag"),
        REASON,
    ),
)
ANALYTIC = TableSchema(
    "analytic",
    "Off the diagonal, one row a form and pair.",
    (
        *PAIR,
        Field("form", "text", "Form"),
        TOP1,
        Field(*CHANGE),
        Field("differing", "count", "Differing", note="predictions unlike the source’s own"),
        Field("rank", "count", "Head’s rank"),
        Field("classes", "count", "Classes"),
    ),
)
BASELINES = TableSchema(
    "baselines",
    "Off the diagonal, one row a line and pair.",
    (
        Field("baseline", "text", "Line", show=_line),
        *PAIR,
        TOP1,
        CHANGE_WITH_INTERVAL,
        Field("agreement", title="Agreement, %"),
        REASON,
    ),
)
CONTRAST = TableSchema(
    "contrast",
    "Both maps into targets that share nothing with the source.",
    (
        *PAIR,
        Field("kind", "text"),
        Field("native_accuracy", title="Source alone, %", note="the source network’s own top-1"),
        Field("analytic_accuracy", title="Analytic map, %", note="top-1 through the analytic map"),
        Field(
            "analytic_differing", "count", "Differing", note="predictions unlike the source’s own"
        ),
        Field(
            "fitted_accuracy",
            title="Fitted map, %",
            note="top-1 through the fitted map",
            interval=ENDS,
            interval_title=INTERVAL,
            interval_note="of the fitted map’s top-1",
        ),
        Field("chance", "chance", "Chance, %", show=_chance),
    ),
)
LEARNING_CURVE = TableSchema(
    "curve",
    "One row a number of fit rows and pair.",
    (
        Field("n_fit", "count"),
        Field("classes_covered", "count"),
        *PAIR,
        Field("accuracy"),
        Field("percent_change", "percent", interval=ENDS),
        Field("alpha", "penalty"),
    ),
)
