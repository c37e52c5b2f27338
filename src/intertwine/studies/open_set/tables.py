"""The open-set study's tables, each declared once, and how their numbers are written."""

from __future__ import annotations

from intertwine.report.numbers import SPACE, THIN, interval, plain, scored, share
from intertwine.report.schema import REASON, Field, Row, TableSchema
from intertwine.report.shapes import DASH

ENDS = ("_low", "_high")
# Decimals of the error rates, in percent.
DECIMALS = {"eer": 2, "auc": 2, "tar_at_far_1e-2": 1, "tar_at_far_1e-3": 1}


def with_std(value: float | None, std: float | None, places: int) -> str:
    """Return an accuracy in percent ± its standard deviation over folds."""
    if value is None or std is None:
        return share(value, places)
    return f"{share(value, places)}{SPACE}±{SPACE}{share(std, places)}"


def with_interval(row: Row, key: str, places: int, *, percent: bool = True) -> str:
    """Return a number of a row with its interval in brackets."""
    factor = 100 if percent else 1
    values = [row.get(f"{key}{end}") for end in ("", "_low", "_high")]
    number, low, high = (None if v is None else factor * v for v in values)
    return DASH if number is None else scored(plain(number, places), interval(low, high, places))


def between(row: Row, key: str, places: int) -> str:
    """Return the interval of a share in percent, or nothing."""
    low, high = (None if (v := row.get(f"{key}{end}")) is None else 100 * v for end in ENDS)
    return interval(low, high, places)


def rates(row: Row) -> list[str]:
    """Return a row's error rates with their intervals, in the order of `DECIMALS`."""
    return [with_interval(row, key, places) for key, places in DECIMALS.items()]


def _accuracy(row: Row, places: int) -> str:
    return with_std(row.get("accuracy"), row.get("std"), places)


def _accuracy_fields(note: str) -> tuple[Field, ...]:
    """Return accuracy, its deviation and its interval, whose meaning `note` states."""
    return (
        Field(
            "accuracy",
            title="Accuracy, %",
            note="mean over the folds ± standard deviation over them",
            show=_accuracy,
        ),
        Field("std"),
        Field(
            "ci_low",
            title="{confidence} interval",
            note=note,
            show=lambda row, places: between(row, "ci", places) or DASH,
        ),
        Field("ci_high"),
    )


def _threshold(after: str = "") -> Field:
    note = "mean over the folds, of the distance 1 − cosine"
    return Field("threshold", "number", "Threshold", note=note, after=after)


PAIR = (Field("source", "name", "Source"), Field("target", "name", "Target"))
RATES = tuple(
    Field(key, title=title, note=note, interval=True, places=DECIMALS[key])
    for key, title, note in (
        (
            "eer",
            "EER, %",
            "equal error rate: as many impostors accepted as genuine pairs refused",
        ),
        ("auc", "AUC, %", "area under the ROC curve"),
        (
            "tar_at_far_1e-2",
            f"TAR at FAR 1{THIN}%, %",
            "genuine pairs accepted where 1 % of impostors are",
        ),
        (
            "tar_at_far_1e-3",
            f"TAR at FAR 0.1{THIN}%, %",
            "genuine pairs accepted where 0.1 % of impostors are",
        ),
    )
)
NATIVES = TableSchema(
    "natives",
    "Both images of a pair through one network; rates over all pairs, with intervals.",
    (
        Field("space", "name", "Network"),
        *_accuracy_fields("bootstrap over people"),
        *RATES,
        _threshold(),
        Field(
            "dimension",
            "count",
            "Dimension",
            note="numbers in one embedding",
            missing="not known",
        ),
        Field("encoder", "text"),
    ),
)
PAIRS = TableSchema(
    "pairs",
    "Off the diagonal, one row a map.",
    (
        *PAIR,
        *_accuracy_fields("of the accuracy; bootstrap over people"),
        Field(
            "identity_accuracy",
            title="No map, %",
            note="accuracy of the same comparison without a map",
            interval=("identity_ci_low", "identity_ci_high"),
            places=1,
            after="loss",
        ),
        *RATES,
        _threshold(after="identity_accuracy"),
        Field(
            "percent_change",
            "percent",
            "Change, %",
            note="against the source’s own accuracy, with its interval",
            interval=True,
            show=lambda row, places: with_interval(row, "percent_change", places, percent=False),
        ),
        Field(
            "percent_change_target",
            "percent",
            "Against target, %",
            note="change against the target’s own accuracy",
        ),
        Field(
            "loss",
            "points",
            "Loss, points",
            note="below the weaker of the two networks by itself",
        ),
        Field("alpha", "penalty", "λ", note="the ridge penalty, where there is one"),
        Field("n_fit", "count", "Fit rows", note="what one map was fitted on"),
        REASON,
    ),
)
PAIR_RATES = TableSchema(
    "rates",
    "Off the diagonal, one row a map; rates over all pairs, with intervals.",
    (*PAIR, *RATES),
)
FOLDS = TableSchema(
    "folds",
    "One row a pair and fold.",
    (*PAIR, Field("fold", "count"), Field("accuracy"), Field("threshold", "number")),
)
CURVES = TableSchema(
    "curve",
    "One row a pair and number of fit rows or rank.",
    (
        Field("kind", "name"),
        Field("n_fit", "count"),
        Field("rank", "count"),
        *PAIR,
        Field("accuracy"),
        Field("std"),
        Field("percent_change", "percent"),
        Field("loss", "points"),
    ),
)
ROC = TableSchema(
    "roc", "One row a point of a pair’s curve.", (*PAIR, Field("far", "text"), Field("tar", "text"))
)
