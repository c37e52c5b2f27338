"""The similarity study's other figures as shapes: the tree, the map, the scatters of swaps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intertwine.report.summarise.plots import Join, Panel, Plane, Scatter, Tree
from intertwine.report.summarise.similarity_words import ANGLES, correlation

if TYPE_CHECKING:
    from intertwine.report.summarise.checked import Row
    from intertwine.report.summarise.similarity_study import SimilarityStudy


def tree_figure(study: SimilarityStudy) -> Tree | None:
    """Return the dendrogram, or None when it is undefined."""
    found = study["dendrogram"]
    leaves, merges = found.get("leaves") or [], found.get("merges") or []
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
    measure = found.get("measure")
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
    found = study["mds"]
    at = {row["space"]: (row["x"], row["y"]) for row in found.get("points") or []}
    names = [name for name in study.names if name in at]
    if not names:
        return None
    index = {name: i for i, name in enumerate(names)}
    layers = [[index[s] for s in spaces if s in index] for spaces in study.networks.values()]
    return Plane(
        labels=[study.label(name) for name in names],
        points=[at[name] for name in names],
        paths=[path for path in layers if len(path) > 1],
        unit="rad" if found.get("measure") in ANGLES else "",
    )


def swaps_figure(study: SimilarityStudy) -> Scatter | None:
    """Return raw score against change in accuracy, one panel a measure; None without swaps."""
    rows = [row for row in study["swaps"] if counted(study, row)]
    if not rows:
        return None
    found = {row["measure"]: row for row in study["interchangeability"]}
    return Scatter(
        y_title="change in accuracy when swapped, %",
        panels=[_panel(study, measure, rows, found) for measure in study.measures],
    )


def counted(study: SimilarityStudy, row: Row) -> bool:
    """Say whether a swap is of two networks that are no controls, with a defined change."""
    touches = row.get("control") or {row["source"], row["target"]} & study.controls
    return not touches and row.get("percent_change") is not None


def _panel(study: SimilarityStudy, measure: Row, rows: list[Row], found: dict[str, Row]) -> Panel:
    pairs = [
        (study.score(row["source"], row["target"], measure).raw, row["percent_change"])
        for row in rows
    ]
    row = found.get(measure["name"], {})
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
