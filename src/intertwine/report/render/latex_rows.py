"""A plain table as a LaTeX table for a paper, in booktabs style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.render.latex import escape, table_environment

if TYPE_CHECKING:
    from intertwine.report.summarise.shapes import Table

LETTER, COLUMN = 4.4, 12  # points, of a character of small text and of what parts two columns


def latex_rows(content: Table, *, caption: str, label: str) -> str:
    """Write a plain table as a `table` environment that needs booktabs and graphicx.

    Parameters
    ----------
    content
        The table.
    caption
        What stands above it; the table's own caption follows.
    label
        What the paper's text refers to.

    Returns
    -------
    text
        One line a row, numbers to the right. A table that is too wide for a page is scaled to it.
    """
    sides = "".join("r" if column.numeric else "l" for column in content.columns)
    lines = [
        f"\\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
        r"\toprule",
        _line([column.title for column in content.columns]),
        r"\midrule",
        *(_line([piece.text for piece in row]) for row in content.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    said = escape(f"{caption} {content.caption}")
    return table_environment(lines, caption=said, label=label, width=_width(content))


def _line(texts: list[str]) -> str:
    """Return one row; at its beginning `[` and `*` would be read as part of the row before."""
    line = " & ".join(escape(text) for text in texts) + r" \\"
    return f"{{}}{line}" if line[0] in "[*" else line


def _width(content: Table) -> float:
    """Return about how wide the table is, in points."""
    rows = [[column.title for column in content.columns]]
    rows += [[piece.text for piece in row] for row in content.rows]
    widest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(LETTER * width + COLUMN for width in widest)
