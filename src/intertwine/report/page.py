"""What the page of every study shows, top to bottom, as display text and shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.figure import Figure

    from intertwine.report.shapes import Matrix, Table, Text, Tile


@dataclass(frozen=True)
class Chart:
    """A figure that stands on the page and in files of its own.

    Parameters
    ----------
    label
        What it shows, whether it is defined or not.
    content
        What it is drawn from; None or empty where it is undefined and left out.
    draw
        Draws the content, given a palette and whether it is `narrow`.
    finding
        What a screen reader says after the label; the page's `lede` when empty.
    """

    label: str
    content: Any
    draw: Callable[..., Figure]
    finding: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows.

    Parameters
    ----------
    title, lede
        The question or the decision, and the finding.
    tiles, sizes
        Headline numbers, and how much data there was.
    matrix, example
        The main figure, and one of its cells read aloud; None and empty where there is none.
    charts
        The other figures by name, which is that of their files.
    tables
        The plain tables by name.
    facts
        Short texts that the page's own sentences quote, by name.
    warnings
        What puts the results in question.
    notes
        What else the study itself noted.
    made
        How it was made: term and text.
    more
        What only this study's template reads.
    """

    title: str
    lede: str
    tiles: list[Tile]
    sizes: str
    matrix: Matrix | None = None
    example: str = ""
    charts: dict[str, Chart] = field(default_factory=dict)
    tables: dict[str, Table]
    facts: dict[str, str]
    warnings: list[str]
    notes: list[str]
    made: list[tuple[str, Text]]
    more: dict[str, Any] = field(default_factory=dict)


def known(items: Iterable[tuple[str, Text]]) -> list[tuple[str, Text]]:
    """Return the items that have a text."""
    return [(term, text) for term, text in items if text.text]
