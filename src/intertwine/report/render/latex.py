"""The main figure as a LaTeX table for a paper, in booktabs style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.shapes import NATIVE

if TYPE_CHECKING:
    from intertwine.report.shapes import Cell, Label, Matrix, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": r"$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "λ": r"$\lambda$",
    "↔": r"$\leftrightarrow$",
    "π": r"$\pi$",
    "ρ": r"$\rho$",
    "²": r"$^2$",
    "’": "'",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "\u202f": r"\,",
    "\u00a0": "~",
}
ROTATE_FROM, MANY = 14, 6  # characters of a heading, columns of a table
TEXT_WIDTH = 345  # points, of an article on A4
DAGGER = r"$^\dagger$"


def escape(text: str) -> str:
    """Return text that LaTeX sets literally."""
    return "".join(SPECIAL.get(character, character) for character in text)


def latex_table(content: Matrix, *, label: str) -> str:
    """Return the main figure as a `table` environment that needs booktabs and graphicx.

    Three lines a source: accuracy, change, interval. Native cells are bold. A table that is too
    wide for a page is scaled to it.
    """
    return table_environment(
        _tabular(content),
        caption=_caption(content),
        label=label,
        width=_width(content),
        settings=[r"\setlength{\tabcolsep}{4pt}"],
    )


def table_environment(
    lines: list[str], *, caption: str, label: str, width: float, settings: list[str] | None = None
) -> str:
    """Return a `table` environment about the lines of a `tabular` one; the caption is LaTeX.

    Where its width, in points, is more than a page's, it is scaled. Settings hold for the table.
    """
    wide = width > TEXT_WIDTH
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs,graphicx}.",
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{caption}}}",
            f"\\label{{{label}}}",
            *(settings or []),
            r"\small",
            *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
            *lines,
            *(["}"] if wide else []),
            r"\end{table}",
            "",
        ]
    )


def _tabular(content: Matrix) -> list[str]:
    n = len(content.labels)
    lines = [
        f"\\begin{{tabular}}{{@{{}}l{'c' * n}@{{}}}}",
        r"\toprule",
        f" & \\multicolumn{{{n}}}{{c@{{}}}}{{{escape(content.column_title)}}} \\\\",
        f"\\cmidrule(l){{2-{n + 1}}}",
        " & ".join([escape(content.row_title), *_headings(content.labels)]) + r" \\",
        r"\midrule",
    ]
    for i, row in enumerate(content.cells):
        values = [_name(content.labels[i]), *(_value(cell) for cell in row)]
        if content.compact:
            lines.append(" & ".join(values) + r" \\")
            continue
        changes = ["", *(_sized("scriptsize", cell.change) for cell in row)]
        intervals = ["", *(_sized("tiny", cell.interval) for cell in row)]
        space = r" \\[3pt]" if i + 1 < n else r" \\"
        lines += [" & ".join(values) + r" \\", " & ".join(changes) + r" \\"]
        lines.append(" & ".join(intervals) + space)
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _width(content: Matrix) -> float:
    """Return about how wide the table is, in points."""
    names = max(len(label.name) for label in content.labels) * 5.0
    cell = max((len(cell.interval) for row in content.cells for cell in row), default=0) * 2.9
    return names + len(content.labels) * (max(cell, 30) + 8)


def _caption(content: Matrix) -> str:
    sentences = [f"{content.title}.", *content.notes]
    if any(label.control for label in content.labels):
        sentences.append("Controls, untrained networks, are marked †.")
    caption = escape(" ".join(sentences)).replace("†", DAGGER)
    return caption.replace("Outlined:", "Bold:")


def _headings(labels: list[Label]) -> list[str]:
    names = [_name(label) for label in labels]
    if len(names) <= MANY and all(len(x.name) < ROTATE_FROM for x in labels):
        return names
    return [f"\\rotatebox{{60}}{{{name}}}" for name in names]


def _name(label: Label) -> str:
    return escape(label.name) + (DAGGER if label.control else "")


def _value(cell: Cell) -> str:
    return f"\\textbf{{{escape(cell.value)}}}" if cell.kind == NATIVE else escape(cell.value)


def _sized(size: str, text: str) -> str:
    return f"{{\\{size} {escape(text)}}}" if text else ""


LETTER, COLUMN = 4.4, 12  # points, of a character of small text and of what parts two columns


def latex_rows(content: Table, *, caption: str, label: str) -> str:
    """Return a plain table as a `table` environment that needs booktabs and graphicx.

    One line a row, numbers to the right; the table's own caption follows the one given. A table
    that is too wide for a page is scaled to it.
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
    whole = escape(f"{caption} {content.caption}")
    return table_environment(lines, caption=whole, label=label, width=_table_width(content))


def _line(texts: list[str]) -> str:
    """Return one row; at its beginning `[` and `*` would be read as part of the row before."""
    line = " & ".join(escape(text) for text in texts) + r" \\"
    return f"{{}}{line}" if line[0] in "[*" else line


def _table_width(content: Table) -> float:
    """Return about how wide the table is, in points."""
    rows = [[column.title for column in content.columns]]
    rows += [[piece.text for piece in row] for row in content.rows]
    widest = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(LETTER * width + COLUMN for width in widest)
