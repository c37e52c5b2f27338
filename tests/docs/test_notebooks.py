"""The notebooks run, and show what they hold."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.docs.blocks import ROOT
from tests.docs.outputs import compare

FOLDER = ROOT / "docs" / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
LARGEST = 200_000


def code_cells(path):
    """Return the code cells of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def printed(cell) -> str:
    """Return what a cell shows as text."""
    texts = []
    for output in cell["outputs"]:
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        texts.append(text if isinstance(text, str) else "".join(text))
        texts.append("" if "text" in output else "\n")
    return "".join(texts)


def kinds(cell) -> set[str]:
    """Return the kinds of output that a cell shows, such as image/png."""
    return {kind for output in cell["outputs"] for kind in output.get("data", {"text": 0})}


def test_there_are_four_notebooks():
    """Each of the subjects has its notebook."""
    assert NAMES == [
        "audit_linkage",
        "compare_two_networks",
        "move_a_vector_store",
        "the_papers_two_tables",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_run_and_small(name):
    """A notebook was run from top to bottom without an error or a warning, and is small."""
    path = FOLDER / f"{name}.ipynb"
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        "display_data",
        "execute_result",
        "stream",
    }
    assert [o["text"] for o in outputs if o.get("name") == "stderr"] == []
    assert path.stat().st_size < LARGEST
    assert "/tmp/" not in path.read_text(encoding="utf-8")  # noqa: S108


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebooks_show_what_they_hold(name, tmp_path):
    """A notebook that is run again prints the same, and shows the same kinds of figures."""
    script = ROOT / "scripts" / "run_notebooks.py"
    subprocess.run([sys.executable, script, name, "--out", tmp_path], check=True)
    again = code_cells(tmp_path / f"{name}.ipynb")
    kept = code_cells(FOLDER / f"{name}.ipynb")
    assert len(again) == len(kept)
    for cell, new in zip(kept, again, strict=True):
        compare(printed(cell), printed(new))
        assert kinds(cell) == kinds(new)
