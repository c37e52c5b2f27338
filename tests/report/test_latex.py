import re
import shutil
import subprocess

import pytest

from intertwine.report.render import latex_table
from intertwine.report.render.latex import escape
from intertwine.report.shapes import Cell, Label, Matrix
from intertwine.studies.closed_set.lookup import ClosedSetStudy
from intertwine.studies.closed_set.page import summarise_closed_set

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,graphicx}
\begin{document}
%s
\end{document}
"""


def table(make_report, n_networks, **options):
    """Return the LaTeX table of a report."""
    report = make_report(n_networks, **options)
    return latex_table(summarise_closed_set(ClosedSetStudy.of(report)).matrix, label="tab:a")


def test_special_characters_are_escaped():
    """Every character that LaTeX takes as a command is written as text."""
    assert escape(r"a_b%c&d#e$f{g}") == r"a\_b\%c\&d\#e\$f\{g\}"
    assert escape("\\~^") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}"
    assert escape("−3.1\u202f%") == r"$-$3.1\,\%"


def test_no_character_but_ascii_is_left(make_report):
    """The table needs no input encoding."""
    assert table(make_report, 4).isascii()


def test_rows_have_a_field_for_every_column(make_report):
    """Each line of the body has as many fields as the table has columns."""
    body = table(make_report, 4).split(r"\midrule")[1].split(r"\bottomrule")[0]
    lines = [line for line in body.strip().splitlines() if line]
    assert len(lines) == 3 * 5
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {5}


def test_native_is_bold_and_controls_are_marked(make_report):
    """The diagonal is bold and a control has a dagger."""
    text = table(make_report, 4)
    assert text.count(r"\textbf{") == 4
    assert r"googlenet\_untrained$^\dagger$ &" in text
    assert r"\resizebox" not in table(make_report, 2)
    assert r"\resizebox" in table(make_report, 12)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", ["resnet50", r"a\b_c%&#${}~^<>|\"→λ", "x" * 80])
def test_table_compiles(tmp_path, name):
    """The table compiles with booktabs and graphicx alone, whatever the names."""
    cell = Cell("61.2", "−4.3\u202f%", "−5.0\u00a0to\u00a0−3.1")
    content = Matrix(
        "A title, %", "of", "in", [Label(name), Label("b", control=True)], [[cell] * 2] * 2, [], ""
    )
    (tmp_path / "a.tex").write_text(DOCUMENT % latex_table(content, label="tab:a"))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
