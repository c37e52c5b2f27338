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


def test_names_of_usual_length_stay_whole():
    """Only long words may be broken, after a sign that parts them."""
    assert str(breakable("mobilenet_v2")) == "mobilenet_v2"
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
