"""The page: one self-contained HTML file, everything inline, nothing fetched."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.report.draw import DARK, LIGHT
from intertwine.report.draw.colours import cell_colour, ink_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.report.draw import Palette
    from intertwine.report.shapes import Cell, Label, Matrix, Swatch

PACKAGE = "intertwine.report"


def html_page(package: str, page: Any, figures: Mapping[str, Mapping[str, str]]) -> str:
    """Return a study's page as one file; all text of the page is escaped.

    `page.html.jinja` of the study's package extends the report's template of that name. The
    figures, SVG elements by name and width (`wide`, `narrow`), are put in as they are.
    """
    markup = import_extra("markupsafe", "report").Markup
    environment = template_environment(study=package)
    inline = {
        name: {width: markup(svg) for width, svg in svgs.items()} for name, svgs in figures.items()
    }
    text: str = environment.get_template("study/page.html.jinja").render(
        page=page, figures=inline, css=markup(asset("page.css")), script=markup(asset("tip.js"))
    )
    return text


def template_environment(**packages: str) -> Any:
    """Return what renders the report's templates, and those of packages by their prefix."""
    jinja2 = import_extra("jinja2", "report")
    prefixed = {name: jinja2.PackageLoader(package, ".") for name, package in packages.items()}
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PrefixLoader(prefixed), jinja2.PackageLoader(PACKAGE)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "breakable": breakable,
        "classes": classes,
        "colours": cell_style,
        "formula": formula,
        "widest": widest,
        "whole": whole,
    }
    environment.globals |= {"theme": theme, "light": LIGHT, "dark": DARK}
    return environment


def asset(name: str) -> str:
    """Return a style sheet or script of the report."""
    text = resources.files(PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")
    return text.strip()


def theme(palette: Palette) -> str:
    """Return a palette as CSS variables."""
    return " ".join(f"--{name}: {colour};" for name, colour in palette.named().items())


def cell_style(cell: Cell | Swatch) -> str:
    """Return a cell's colours in both themes as CSS variables; the style sheet picks."""
    if cell.kind != "pair":
        return ""
    light, dark = (cell_colour(palette, cell.shade) for palette in (LIGHT, DARK))
    return (
        f"--ground: {light}; --text: {ink_on(LIGHT, light)}; "
        f"--ground-dark: {dark}; --text-dark: {ink_on(DARK, dark)}"
    )


def classes(label: Label, start: bool = False) -> Any:
    """Return the class attribute of a name in the main figure, or nothing."""
    markup = import_extra("markupsafe", "report").Markup
    names = ["control"] * label.control + ["start"] * start
    return markup(f' class="{" ".join(names)}"' if names else "")


def whole(heading: str) -> str:
    """Keep the parts of a heading on one line that belong together: its unit, and `top-1`."""
    return heading.replace(", %", ",\u00a0%").replace("op-", "op\u2011")


def widest(content: Matrix) -> int:
    """Return the characters of the longest interval, which cells must have room for."""
    return max((len(cell.interval) for row in content.cells for cell in row), default=0)


def formula(text: str) -> Any:
    """Escape a formula, and set what follows `_` as a subscript."""
    markupsafe = import_extra("markupsafe", "report")
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"_(\w+|\*)", r"<sub>\1</sub>", escaped))


def breakable(text: str) -> Any:
    """Escape text, whose long words a browser may break after `-`, `_`, `.` and `/`."""
    markupsafe = import_extra("markupsafe", "report")
    parts = re.split(r"(?<=[-_/])(?=\w)|(?<=\.)(?=[^\W\d])", text)
    return markupsafe.Markup("<wbr>").join(parts) if len(text) > 8 else markupsafe.escape(text)
