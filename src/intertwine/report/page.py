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
    """A figure that is on the page and in files of its own."""

    # What it shows, whether it is defined or not.
    label: str
    # What it is drawn from; None or empty where it is undefined and left out.
    content: Any
    # Draws the content, given a palette and whether it is `narrow`.
    draw: Callable[..., Figure]
    # What a screen reader reads after the label; the page's lede when empty.
    finding: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows, top to bottom."""

    # The question or the decision, and the finding.
    title: str
    lede: str
    # Headline numbers, and how much data there was.
    tiles: list[Tile]
    sizes: str
    # The main figure, and one of its cells read aloud.
    matrix: Matrix | None = None
    example: str = ""
    # The other figures by name, which is that of their files; the main one first without a matrix.
    charts: dict[str, Chart] = field(default_factory=dict)
    # The main one first without a matrix.
    tables: dict[str, Table]
    # Short texts that the page's own sentences quote.
    facts: dict[str, str]
    # What puts the results in question, and the other notes.
    warnings: list[str]
    notes: list[str]
    # How it was made: term and text.
    made: list[tuple[str, Text]]
    # What only this study's template reads.
    more: dict[str, Any] = field(default_factory=dict)


def known(items: Iterable[tuple[str, Text]]) -> list[tuple[str, Text]]:
    """Return the items that have a text."""
    return [(term, text) for term, text in items if text.text]
