"""Figures to bytes: the same bytes each time, whatever the user's own matplotlib settings are."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw.colours import SENTINELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure

PNG_DPI, SCREEN_DPI = 200, 100
# DejaVu Sans comes with matplotlib and is the widest of these: what fits in it fits in all.
FONTS = "'DejaVu Sans', Verdana, 'Segoe UI', Arial, sans-serif"


@contextmanager
def settings() -> Iterator[None]:
    """Draw under matplotlib's defaults and ours; the user's settings come back afterwards."""
    style = import_extra("matplotlib.style", "report")
    ours = {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "intertwine",  # ids are the same in each run
        "font.family": "DejaVu Sans",
    }
    with style.context(["default", ours]):
        yield


def to_svg(figure: Figure) -> str:
    """Return a figure as a standalone SVG file without dates."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with settings():
        figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue().replace("'DejaVu Sans'", FONTS)


def to_png(figure: Figure, dpi: float = PNG_DPI) -> bytes:
    """Return a figure as a PNG file, without the program's version in it."""
    buffer = io.BytesIO()
    with settings():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def for_notebook(figure: Any) -> Figure:
    """Return a figure that a notebook shows, whether pyplot is used there or not."""
    figure._repr_png_ = partial(to_png, figure, dpi=SCREEN_DPI)
    shown: Figure = figure
    return shown


def for_page(svg: str, *, prefix: str, label: str) -> str:
    """Return an SVG as an element of a page that follows the page's theme and font.

    The figure is drawn in `SENTINELS`. `prefix` is put before every id, since the ids of a page
    must differ; `label` is plain text for a screen reader. Namespaces, which HTML does not need,
    are left out.
    """
    body = svg[svg.index("<svg") :].replace(FONTS, "var(--font)")
    head, rest = body.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    head = f'<svg {box[0] if box else ""} role="img" aria-label="{_attribute(label)}"'
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'\bid="', f'id="{prefix}', rest)
    rest = re.sub(r'href="#', f'href="#{prefix}', rest)
    rest = rest.replace("url(#", f"url(#{prefix}")
    for name, colour in SENTINELS.named().items():
        rest = rest.replace(colour, f"var(--{name})")
    return f"{head}>{rest.strip()}"


def for_both_widths(plot: Callable[..., Figure], *, prefix: str, label: str) -> dict[str, str]:
    """Return a figure as elements of a page, `wide` for a page and `narrow` for a telephone.

    `plot` draws it, given a palette and whether it is `narrow`; ids begin with prefix and width.
    """
    figures = {"wide": plot(SENTINELS), "narrow": plot(SENTINELS, narrow=True)}
    return {
        width: for_page(to_svg(figure), prefix=f"{prefix}-{width}-", label=label)
        for width, figure in figures.items()
    }


def _attribute(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text
