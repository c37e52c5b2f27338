"""A report's main table as a part of somebody else's page: a notebook's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intertwine.report.draw import DARK, LIGHT
from intertwine.report.render.page import asset, template_environment, theme

if TYPE_CHECKING:
    from intertwine.report.page import Page

# Where a notebook says that it is dark or light; elsewhere the browser's setting counts.
_DARK = ':where([data-jp-theme-light="false"], .vscode-dark, [theme="dark"], [data-theme="dark"])'
_LIGHT = (
    ':where([data-jp-theme-light="true"], .vscode-light, [theme="light"], [data-theme="light"])'
)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


def notebook_html(page: Page) -> str:
    """Return what a page opens with, its main figure as a table, with its style within an element.

    It runs no script and fetches nothing. Its ground is its own, so that it can be read anywhere.
    """
    body = template_environment().get_template("notebook.html.jinja").render(page=page)
    return f'<div class="intertwine">\n<style>\n{_style(body)}\n</style>\n{body}</div>'


def _style(body: str) -> str:
    """Return the rules for a body, light or dark as the notebook is."""
    dark = [f".intertwine {{ {theme(DARK)} }}", _cells("-dark")]
    light = [f".intertwine {{ {theme(LIGHT)} }}", _cells("")]
    return "\n".join(
        [
            *light,
            *used_rules(asset("page.css"), body, ".intertwine"),
            "@media screen and (prefers-color-scheme: dark) {",
            *dark,
            "}",
            *(f"{_LIGHT} {rule}" for rule in light),
            *(f"{_DARK} {rule}" for rule in dark),
            asset("notebook.css"),
        ]
    )


def _cells(end: str) -> str:
    return f".intertwine .cell {{ background: var(--ground{end}); color: var(--text{end}); }}"


def used_rules(css: str, body: str, within: str) -> list[str]:
    """Return the rules of a style sheet that apply to elements of a body, kept to one element's inside.

    Rules for other media are left out.
    """
    known = set(re.findall(r"<([a-z0-9]+)", body))
    for names in re.findall(r'class="([^"]*)"', body):
        known |= {f".{name}" for name in names.split()}
    plain = re.sub(r"/\*.*?\*/|@[^{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css, flags=re.DOTALL)
    rules = []
    for selectors, declared in _RULE.findall(plain):
        # A comma in brackets parts no selectors.
        parts = [part.strip() for part in re.split(r",(?![^(]*\))", selectors)]
        kept = [f"{within} {part}" for part in parts if _needs(part) <= known]
        if kept:
            rules.append(f"{', '.join(kept)} {{{declared}}}")
    return rules


def _needs(selector: str) -> set[str]:
    """Return the elements, classes and ids that a selector names; those of pseudo-classes too."""
    bare = re.sub(r"\[[^]]*\]|:nth-[a-z-]+\([^)]*\)|::?[a-z-]+", " ", selector)
    return set(re.findall(r"[.#]?[a-z][\w-]*", bare))
