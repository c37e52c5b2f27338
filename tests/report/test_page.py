import re
from importlib import resources

import pytest

from intertwine.report.render.page import breakable, formula


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "‖S_AB‖²_F / (‖S_AA‖_F)",
            "‖S<sub>AB</sub>‖²<sub>F</sub> / (‖S<sub>AA</sub>‖<sub>F</sub>)",
        ),
        ("‖S_AB‖_* < Σ_j ρ_i", "‖S<sub>AB</sub>‖<sub>*</sub> &lt; Σ<sub>j</sub> ρ<sub>i</sub>"),
        ("HSIC₁(A, B)", "HSIC₁(A, B)"),
    ],
)
def test_a_formula_has_its_subscripts(text, html):
    """What follows an underscore in a formula is set below the line, and the rest is escaped."""
    assert str(formula(text)) == html


def test_names_break_after_a_sign():
    """Only long words may be broken, after a sign that parts them."""
    assert str(breakable("resnet_5")) == "resnet_5"
    assert str(breakable("efficientnet_lite4")) == "efficientnet_<wbr>lite4"


def test_folded_tables_stay_folded_in_print():
    """In print only notes are unfolded, the tab shown stands alone, and nothing scrolls."""
    css = resources.files("intertwine.report").joinpath("templates", "page.css").read_text("utf-8")
    printed = css[css.index("@media print") :]
    unfolded = re.findall(r"^\s*(.*)::details-content", printed, re.MULTILINE)
    assert unfolded == [".remarks details"]
    assert ".tabs > .panel" not in printed
    assert re.search(r"\.scroll \{[^}]*overflow: visible", printed)
    assert re.search(r"\.hint \{[^}]*display: none", printed)


def rendered(study, **more):
    """Return a bare page of a study's frame, without its body."""
    import jinja2

    loader = jinja2.PackageLoader("intertwine.report")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    environment.globals |= {"theme": lambda _: "", "light": None, "dark": None}
    environment.filters |= dict.fromkeys(
        ("breakable", "classes", "colours", "formula", "widest", "whole"), str
    )
    page = {"title": study, "lede": "the finding", "warnings": ["a doubt"], "facts": {"made": ""}}
    text = '{% extends "page.html.jinja" %}{% block body %}the body{% endblock %}'
    return environment.from_string(text).render(page=page | more, css="", script="")


@pytest.mark.quick("1", "4")
@pytest.mark.parametrize("n", [0, 1, 4, 5, 30])
def test_every_page_begins_with_warnings_and_notes(n):
    """Warnings, the finding and every note once stand before what a study shows; many are folded."""
    notes = [f"note {number}." for number in range(n)]
    html = rendered("plan", notes=notes)
    order = [html.index(each) for each in ("a doubt", "the finding", *notes, "the body")]
    assert order == sorted(order)
    assert ("<details>" in html) is (n > 4)
    assert (f"{n - 3} more notes" in html) is (n > 4)
    assert ('class="remarks"' in html) is (n > 0)


@pytest.mark.parametrize("study", ["closed_set", "linkage", "open_set", "plan", "similarity"])
def test_no_study_shows_notes_of_its_own(study):
    """A study's page leaves notes to the frame that all pages share."""
    text = resources.files(f"intertwine.studies.{study}").joinpath("page.html.jinja").read_text()
    assert text.startswith('{% extends "page.html.jinja" %}')
    assert "notes" not in text
