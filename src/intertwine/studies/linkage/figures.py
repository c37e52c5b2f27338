"""The linkage study's main figure and its curves, as shapes ready to be drawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.numbers import (
    THIN,
    chance,
    interval,
    median,
    number_of,
    plain,
    shade,
    share,
    unit,
)
from intertwine.report.shapes import (
    DASH,
    NATIVE,
    PAIR,
    Cell,
    Label,
    Line,
    Matrix,
    RatePanel,
    Swatch,
)
from intertwine.studies.linkage.tables import TPIR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.report.schema import Row
    from intertwine.studies.linkage.lookup import LinkageStudy

STEPS = (1, 5, 10, 25, 50, 100)
ABSENT = "not among the systems of both sides"


def main_figure(study: LinkageStudy) -> Matrix:
    """Return rank 1 with the most known pairs, redder the more is linked."""
    names = study.names
    cells = [[_cell(study, a, b) for b in names] for a in names]
    return Matrix(
        title=f"Rank-1 linkage (%) with {study.pairs_text(study.most)}",
        row_title="probes of",
        column_title="gallery of",
        labels=[Label(name) for name in names],
        cells=cells,
        legend=[
            Swatch("native", kind=NATIVE),
            *(Swatch(f"{step}{THIN}%", shade(-step)) for step in STEPS),
        ],
        legend_title="Colour: share of probes linked, the same scale in every report",
        notes=[_reading(study), *_undefined(study, cells)],
    )


def _cell(study: LinkageStudy, source: str, target: str) -> Cell:
    native = source == target
    row = study.row.get((source, target, 0 if native else study.most))
    if row is None:
        return Cell(DASH, detail=(f"{source} → {target}", ABSENT))
    places, rate = study.places, row["rank1"]
    low, high = (
        None if row[key] is None else 100 * row[key] for key in ("rank1_low", "rank1_high")
    )
    before = study.row.get((source, target, 0), row)["rank1"]
    return Cell(
        value=share(rate, places),
        change="native" if native else f"from {share(before, places)}",
        interval=interval(low, high, places),
        shade=None if native or rate is None else shade(-100 * rate),
        kind=NATIVE if native else PAIR,
        detail=tuple(_details(study, row)),
    )


def _details(study: LinkageStudy, row: Row) -> list[str]:
    places = study.places
    lines = [
        f"probes of {row['source']} in the gallery of {row['target']}",
        f"{row['condition']}, {study.pairs_text(row['known_pairs'])}",
        f"rank 1, 5, 10: {', '.join(share(row[f'rank{k}'], places) for k in (1, 5, 10))}{THIN}%",
        f"TPIR at FPIR 1{THIN}%: {unit(share(row[TPIR], places))}",
        f"D_sys {plain(row['d_sys'], 2)}, by chance {plain(row['d_sys_chance'], 2)}",
        f"{number_of(row['n_gallery'], 'person', 'people')} in the gallery, {number_of(row['n_probes'], 'probe')}",
    ]
    return [*lines, f"{DASH} is undefined: {row['reason']}"] if row["reason"] else lines


def _reading(study: LinkageStudy) -> str:
    return (
        "Large: share of probes whose own person comes first among all people of the gallery. "
        f"Below it: the same without a map, and the {study.confidence} interval over people. "
        "Outlined: probes of the gallery’s own system. Chance is "
        f"{unit(chance(study.sized['chance']))}. Maps: {study['method']}."
    )


def _undefined(study: LinkageStudy, cells: Sequence[Sequence[Cell]]) -> list[str]:
    reasons = [
        (study.row.get((a, b, 0 if a == b else study.most)) or {}).get("reason") or ABSENT
        for a, line in zip(study.names, cells, strict=True)
        for b, cell in zip(study.names, line, strict=True)
        if cell.value == DASH
    ]
    return [
        f"{DASH} undefined in {number_of(n, 'cell')}: {reason}."
        for reason, n in Counter(reasons).items()
    ]


def known_panels(study: LinkageStudy) -> list[RatePanel]:
    """Return the rates over the number of known pairs."""
    trained = [_trained_panel(study)] if study.trained else []
    return [
        _known_panel(study, "Rank 1, %", "rank1", "chance"),
        *trained,
        _known_panel(study, "TPIR at FPIR 1 %, %", TPIR, f"{TPIR}_chance"),
        _known_panel(study, "D_sys, % of its maximum", "d_sys", "d_sys_chance"),
    ]


def _trained_panel(study: LinkageStudy) -> RatePanel:
    """Return rank 1 after self-training; without known pairs there is none."""
    unmapped = {key: row for key, row in study.row.items() if not key[2]}
    rows = unmapped | study.trained
    return _known_panel(study, "Rank 1 with unlabelled templates, %", "rank1", "chance", rows)


def _known_panel(
    study: LinkageStudy,
    title: str,
    key: str,
    guess: str,
    rows: Mapping[tuple[str, str, int], Row] | None = None,
) -> RatePanel:
    shown = study.row if rows is None else rows

    def value(source: str, target: str, known: int, name: str = key) -> float | None:
        number: float | None = (shown.get((source, target, known)) or {}).get(name)
        return number

    def middle(name: str) -> list[tuple[float, float]]:
        return _medians(
            study.ladder,
            lambda known: [value(*couple, known, name) for couple in study.couples],
        )

    native = study.median_native(key)
    ends = [study.ladder[0], study.most]
    return RatePanel(
        title=title,
        x_title="known pairs",
        lines=[
            Line(f"{a} → {b}", _points(study.ladder, [value(a, b, k) for k in study.ladder]))
            for a, b in study.couples
        ],
        median=Line(_median_name(study), middle(key)),
        chance=Line("chance", middle(guess)),
        native=None if native is None else Line("native", _points(ends, [native, native])),
    )


def cmc_panels(study: LinkageStudy) -> list[RatePanel]:
    """Return the cumulative match characteristics without a map, with some known pairs, and all."""
    ladder = study.ladder
    return [_cmc_panel(study, known) for known in sorted({0, ladder[len(ladder) // 2], study.most})]


def _cmc_panel(study: LinkageStudy, known: int) -> RatePanel:
    curves: dict[tuple[str, str], dict[int, float]] = {}
    natives: dict[tuple[str, str], dict[int, float]] = {}
    guess: dict[int, float] = {}
    for row in study["cmc"]:
        key = (row["source"], row["target"])
        if row["condition"] == "native":
            natives.setdefault(key, {})[row["rank"]] = row["rate"]
        elif row["known_pairs"] == known and row.get("overlap") is None:
            curves.setdefault(key, {})[row["rank"]] = row["rate"]
            guess[row["rank"]] = row["chance"]
    shown = sorted(guess)

    def middle(lines: dict[tuple[str, str], dict[int, float]]) -> list[tuple[float, float]]:
        return _medians(shown, lambda rank: [curve.get(rank) for curve in lines.values()])

    return RatePanel(
        title=f"Probes found, %, {study.pairs_text(known)}",
        x_title="rank",
        lines=[
            Line(f"{a} → {b}", _points(shown, [curve.get(rank) for rank in shown]))
            for (a, b), curve in curves.items()
        ],
        median=Line(_median_name(study), middle(curves)),
        chance=Line("chance", _points(shown, [guess[rank] for rank in shown])),
        native=Line("native", middle(natives)) if natives else None,
    )


def _median_name(study: LinkageStudy) -> str:
    n = len(study.couples)
    return f"median of {n} pairs of systems" if n > 1 else "the pair of systems"


def _points(xs: Sequence[int], rates: Sequence[float | None]) -> list[tuple[float, float]]:
    known = zip(xs, rates, strict=True)
    return [(float(x), 100 * rate) for x, rate in known if rate is not None]


def _medians(
    xs: Sequence[int], rates: Callable[[int], list[float | None]]
) -> list[tuple[float, float]]:
    return _points(xs, [median([rate for rate in rates(x) if rate is not None]) for x in xs])
