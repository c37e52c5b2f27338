"""What the similarity study's figures are drawn from, in the units of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intertwine.report.summarise.shapes import Label


@dataclass(frozen=True)
class Join:
    """Two branches of a tree that meet: their places down the page, their heights, and the new one.

    Parameters
    ----------
    places
        Where the two branches run, in leaves from the top; the new branch runs half-way between.
    heights
        Where each branch begins.
    height
        Where they meet.
    """

    places: tuple[float, float]
    heights: tuple[float, float]
    height: float


@dataclass(frozen=True)
class Tree:
    """A dendrogram: the leaves from top to bottom, the joins, and the scale.

    Parameters
    ----------
    x_title
        What the height of a join measures.
    labels
        The leaves.
    joins
        The nearest first.
    limit
        The largest height that could be.
    """

    x_title: str
    labels: list[Label]
    joins: list[Join]
    limit: float


@dataclass(frozen=True)
class Plane:
    """A map of spaces in which distances mean something and directions nothing.

    Parameters
    ----------
    labels
        The spaces.
    points
        Where each stands.
    paths
        Spaces to join by a line, as indexes: the layers of one network in order.
    unit
        The unit of distance.
    """

    labels: list[Label]
    points: list[tuple[float, float]]
    paths: list[list[int]]
    unit: str


@dataclass(frozen=True)
class Panel:
    """One small scatter: what x is, what was found, and the points.

    Parameters
    ----------
    title, finding
        The measure, and its rank correlation.
    points
        (score, change) of a pair.
    falling
        Whether smaller scores are more similar, so that the axis is turned round.
    """

    title: str
    finding: str
    points: list[tuple[float, float]]
    falling: bool = False


@dataclass(frozen=True)
class Scatter:
    """Small scatters over one common y axis."""

    y_title: str
    panels: list[Panel]
