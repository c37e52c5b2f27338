"""Draw the README's picture, on light and on dark ground, from the demo's closed-set report.

make demo
python scripts/make_readme_picture.py demo-output/report/report.json docs/swaps
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from intertwine.report.draw.colours import DARK, LIGHT, cell_colour, ink_on
from intertwine.report.numbers import MINUS, shade, share

if TYPE_CHECKING:
    from intertwine.report.draw import Palette

NAMES = {
    "googlenet": "GoogLeNet",
    "mobilenet_v1": "MobileNet-v1",
    "mobilenet_v2": "MobileNet-v2",
    "mobilenet_v3": "MobileNet-v3",
    "googlenet_untrained": "untrained",
}
CELL, GAP, HEIGHT = 68, 3, 46
LEFT, BETWEEN, TOP = 112, 38, 92
FONT = "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def main() -> None:
    """Read the arguments and write OUT-light.svg and OUT-dark.svg."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path, help="the files' common beginning, such as docs/swaps")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    for theme, palette in (("light", LIGHT), ("dark", DARK)):
        file = arguments.out.with_name(f"{arguments.out.name}-{theme}.svg")
        file.write_text(picture(report, palette), encoding="utf-8")
        print(file)


def picture(report: dict[str, Any], palette: Palette) -> str:
    """Return the SVG of both tables of a closed-set report: without a map, and with one."""
    spaces = [row["space"] for row in report["natives"]]
    controls = {row["space"] for row in report["natives"] if row["control"]}
    mapped = {(row["source"], row["target"]): row for row in report["pairs"]}
    unmapped = {
        (row["source"], row["target"]): row
        for row in report["baselines"]
        if row["baseline"] == "identity"
    }
    width = len(spaces) * CELL
    total = LEFT + 2 * width + BETWEEN
    bottom = TOP + len(spaces) * HEIGHT
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {bottom + 58}" '
            f'width="{total}" height="{bottom + 58}" role="img" font-family="{FONT}">'
        ),
        "<title>One network's features in another network's classifier</title>",
        f"<desc>{escape(_description(report))}</desc>",
        _text(0, TOP - 14, "features of ↓", palette.muted, size=11),
    ]
    lines += [
        _text(LEFT - 10, _middle(row) + 4, NAMES.get(name, name), palette.ink, anchor="end")
        for row, name in enumerate(spaces)
    ]
    heads = (
        ("Without a map", unmapped, LEFT),
        ("With a linear map", mapped, LEFT + width + BETWEEN),
    )
    for head, pairs, left in heads:
        lines.append(_text(left, 18, head, palette.ink, size=17, weight=600))
        lines.append(_text(left, 40, "in the classifier of →", palette.muted, size=11))
        lines += _panel(spaces, controls, {**mapped, **pairs}, left, palette)
    lines += [
        _text(0, bottom + 26 + 18 * n, line, palette.muted)
        for n, line in enumerate(_caption(report))
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(
    spaces: list[str],
    controls: set[str],
    pairs: dict[tuple[str, str], dict[str, Any]],
    left: int,
    palette: Palette,
) -> list[str]:
    """Return the cells of one table, and the names above its columns."""
    lines = []
    for column, target in enumerate(spaces):
        x = left + column * CELL
        name = NAMES.get(target, target)
        first, dash, last = name.partition("-")
        lines += [_text(x + (CELL - GAP) / 2, TOP - 26, first + dash, palette.ink, "middle", 11)]
        lines += [_text(x + (CELL - GAP) / 2, TOP - 12, last, palette.ink, "middle", 11)]
        for row, source in enumerate(spaces):
            control = bool({source, target} & controls)
            lines += _cell(pairs[source, target], x, TOP + row * HEIGHT, palette, control=control)
    return lines


def _cell(cell: dict[str, Any], x: int, y: int, palette: Palette, *, control: bool) -> list[str]:
    """Return one cell: the accuracy, and the change against the row's own network."""
    native = cell["source"] == cell["target"]
    change = cell["percent_change"]
    ground = palette.paper if native or control else cell_colour(palette, shade(change))
    edge = palette.ink if native else palette.rule if control else ground
    ink = palette.muted if control and not native else ink_on(palette, ground)
    below = "native" if native else "" if control else f"{MINUS}{abs(change):.0f} %"
    middle = x + (CELL - GAP) / 2
    fill = "none" if native or control else ground
    rect = (
        f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{CELL - GAP - 1}" height="{HEIGHT - GAP - 1}" '
        f'rx="4" fill="{fill}" stroke="{edge}"/>'
    )
    number_y = y + (20 if below else 27)
    return [
        rect,
        _text(middle, number_y, share(cell["accuracy"], 1), ink, "middle", 15, 600),
        *([_text(middle, y + 35, below, ink, "middle", 11)] if below else []),
    ]


def _middle(row: int) -> float:
    return TOP + row * HEIGHT + (HEIGHT - GAP) / 2


def _caption(report: dict[str, Any]) -> tuple[str, str]:
    """Return what the numbers are, in two lines."""
    scores = (
        f"Top-1 accuracy in %, {report['n_eval']:,} ImageNet images; below it the change against "
        "the row's own network."
    )
    maps = (
        f"Ridge, λ by cross-validation (GCV), fitted on {report['n_fit']:,} images without labels. "
        "Made by: make demo"
    )
    return scores, maps


def _description(report: dict[str, Any]) -> str:
    """Return the picture in words."""
    return (
        "Two tables of top-1 accuracy: rows are networks that make the features, columns networks "
        f"that classify them. With a map the median change is {report['median_percent_change']:.1f}"
        " %; without a map accuracy is at chance."
    )


def _text(
    x: float,
    y: float,
    text: str,
    fill: str,
    anchor: str = "start",
    size: int = 12,
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{fill}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


if __name__ == "__main__":
    main()
