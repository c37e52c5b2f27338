"""The similarity study's main figure: spaces × spaces, one figure a measure."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from intertwine.report.numbers import interval, number_of, plain, significant
from intertwine.report.shapes import (
    CONTROL,
    DASH,
    NATIVE,
    PAIR,
    Cell,
    Join,
    Matrix,
    Panel,
    Plane,
    Scatter,
    Swatch,
    Tree,
)
from intertwine.studies.similarity.sentences import ANGLES, correlation, direction, unit

if TYPE_CHECKING:
    from intertwine.report.schema import Row
    from intertwine.studies.similarity.lookup import Score, SimilarityStudy

STEPS = (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MANY = 12  # with more spaces a cell holds its calibrated score alone


def heatmap(study: SimilarityStudy, measure: Row) -> Matrix:
    """Return one measure's figure: calibrated score large, raw score and its interval small."""
    compact = len(study.names) > MANY
    return Matrix(
        title=f"{measure['title']}: calibrated scores",
        row_title="space" if measure["symmetric"] else "from",
        column_title="space" if measure["symmetric"] else "to",
        labels=[study.label(name) for name in study.names],
        cells=[
            [_cell(study, a, b, measure, compact=compact) for b in study.names] for a in study.names
        ],
        legend=_legend(study),
        legend_title="Colour: calibrated score, the same scale in every report",
        notes=[_reading(study, measure, compact=compact), *_undefined(study, measure)],
        compact=compact,
    )


def _cell(study: SimilarityStudy, a: str, b: str, measure: Row, *, compact: bool) -> Cell:
    score = study.score(a, b, measure)
    bare = compact or score.raw is None or not study.has_null(measure)
    kind = CONTROL if {a, b} & study.controls else NATIVE if a == b else PAIR
    between = interval(score.low, score.high, 2)
    return Cell(
        value=plain(score.calibrated, 2),
        change="" if bare else f"raw {plain(score.raw, 2)}",
        interval="" if compact or a == b else between,
        shade=score.calibrated if kind == PAIR else None,
        kind=kind,
        detail=tuple(_details(study, a, b, measure, score)),
    )


def _details(study: SimilarityStudy, a: str, b: str, measure: Row, score: Score) -> list[str]:
    between = interval(score.low, score.high, 3)
    calibrated = interval(score.calibrated_low, score.calibrated_high, 3)
    lines = [
        f"{a} {'↔' if measure['symmetric'] else '→'} {b}" if a != b else f"{a} against itself",
        f"{measure['title']} {plain(score.raw, 3)}{unit(measure, score.raw)}"
        + (f", {study.confidence} interval {between}" if between else ""),
        f"null {plain(score.null, 3)}{unit(measure, score.null)}",
        f"calibrated {plain(score.calibrated, 3)}" + (f" ({calibrated})" if calibrated else ""),
    ]
    alpha = study.pair.get((a, b), {}).get("alpha")
    if measure["name"] == "r2" and alpha is not None:
        lines.append(f"λ {significant(alpha)}")
    if score.incomplete and score.reason:
        lines.append(f"{DASH} is undefined: {score.reason}")
    return lines


def _legend(study: SimilarityStudy) -> list[Swatch]:
    swatches = [Swatch("against itself", kind=NATIVE)]
    swatches += [Swatch(plain(step, 1), step) for step in STEPS]
    return [*swatches, Swatch("control", kind=CONTROL)] if study.controls else swatches


def _reading(study: SimilarityStudy, measure: Row, *, compact: bool) -> str:
    below = f"the raw score with its {study.confidence} interval"
    if not study.has_null(measure):
        below = f"its {study.confidence} interval; the null is 0, so the raw score is the same"
    small = "" if compact else f" Below it: {below}."
    large = "Number" if compact else "Large"
    best = plain(measure["best"], 0)
    return (
        f"{large}: the calibrated score, (raw − null) / ({best} − null); 0 is what unrelated "
        f"spaces of this size give, 1 a space against itself.{small} {direction(measure)}"
    )


def _undefined(study: SimilarityStudy, measure: Row) -> list[str]:
    """Return why cells show an en dash, each reason once."""
    scores = [study.score(a, b, measure) for a in study.names for b in study.names]
    reasons = [score.reason for score in scores if score.calibrated is None]
    return [
        f"{DASH} undefined in {number_of(n, 'cell')}: {reason.rstrip('.')}."
        for reason, n in Counter(reasons).items()
    ]


def tree_figure(study: SimilarityStudy) -> Tree | None:
    """Return the dendrogram, or None when it is undefined."""
    tree = study["dendrogram"]
    leaves, merges = tree.get("leaves") or [], tree.get("merges") or []
    if not merges:
        return None
    place = {name: float(i) for i, name in enumerate(leaves)}
    # As in SciPy: nodes are the spaces in the order of the report, then one a merge.
    nodes = [(place[row["space"]], 0.0) for row in study["spaces"]]
    joins = []
    for i, j, height, _ in merges:
        (one, low), (other, low2) = sorted((nodes[int(i)], nodes[int(j)]))
        joins.append(Join((one, other), (low, low2), height))
        nodes.append(((one + other) / 2, height))
    measure = tree.get("measure")
    angle = measure in ANGLES
    top = max(join.height for join in joins)
    return Tree(
        x_title=f"{_title(study, measure)}{', radians' if angle else ''}; 0 is the same up to "
        f"{_ignores(study, measure)}",
        labels=[study.label(name) for name in leaves],
        joins=joins,
        limit=math.pi / 2 if angle and top <= math.pi / 2 else top or 1.0,
    )


def plane_figure(study: SimilarityStudy) -> Plane | None:
    """Return the map, or None when it is undefined."""
    plane = study["mds"]
    at = {row["space"]: (row["x"], row["y"]) for row in plane.get("points") or []}
    names = [name for name in study.names if name in at]
    if not names:
        return None
    index = {name: i for i, name in enumerate(names)}
    layers = [[index[s] for s in spaces if s in index] for spaces in study.networks.values()]
    return Plane(
        labels=[study.label(name) for name in names],
        points=[at[name] for name in names],
        paths=[path for path in layers if len(path) > 1],
        unit="rad" if plane.get("measure") in ANGLES else "",
    )


def swaps_figure(study: SimilarityStudy) -> Scatter | None:
    """Return raw score against change in accuracy, one panel a measure; None without swaps."""
    rows = [row for row in study["swaps"] if counted(study, row)]
    if not rows:
        return None
    correlations = {row["measure"]: row for row in study["interchangeability"]}
    return Scatter(
        y_title="change in accuracy when swapped, %",
        panels=[_panel(study, measure, rows, correlations) for measure in study.measures],
    )


def counted(study: SimilarityStudy, row: Row) -> bool:
    """Return whether a swap is of two networks that are no controls, with a defined change."""
    touches = row.get("control") or {row["source"], row["target"]} & study.controls
    return not touches and row.get("percent_change") is not None


def _panel(
    study: SimilarityStudy, measure: Row, rows: list[Row], correlations: dict[str, Row]
) -> Panel:
    pairs = [
        (study.score(row["source"], row["target"], measure).raw, row["percent_change"])
        for row in rows
    ]
    row = correlations.get(measure["name"], {})
    return Panel(
        title=measure["title"],
        finding=f"ρ {correlation(row)}" if row.get("spearman") is not None else "ρ undefined",
        points=sorted((x, y) for x, y in pairs if x is not None),
        falling=not measure["larger_is_more_similar"],
    )


def _title(study: SimilarityStudy, name: str) -> str:
    titles = {measure["name"]: str(measure["title"]) for measure in study.measures}
    return titles.get(name, str(name))


def _ignores(study: SimilarityStudy, name: str) -> str:
    ignored = {measure["name"]: str(measure["ignores"]) for measure in study.measures}
    return ignored.get(name, "what it ignores")
