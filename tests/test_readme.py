"""What README and CITATION promise: its size, its links, its extras, and a picture of its figures."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# A large number of the picture: where it stands, and what it says.
NUMBER = re.compile(r'<text x="([\d.]+)" y="([\d.]+)" [^>]*font-size="15"[^>]*>([\d.]+)<')


def test_the_readme_is_short():
    """The README has at most 120 lines of at most 120 characters."""
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_links_of_the_readme_lead_somewhere():
    """Files that the README links or shows are in the checkout."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", README)
    files = {a or b for a, b in targets if not (a or b).startswith("https://")}
    assert len(files) > 10
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_the_table_of_extras_is_complete():
    """Every extra of the package is in the README's table."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = README.partition("| extra |")[2].partition("\n\n")[0]
    assert set(project["optional-dependencies"]) <= set(re.findall(r"`([\w-]+)`", rows))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_shows_the_measured_table(theme):
    """Every accuracy of the first table of docs/results.md is in the picture, in its order."""
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    table = results.partition("| features of ↓ in head of → |")[2].partition("\n\n")[0]
    cells = [cell for line in table.splitlines()[2:] for cell in line.split("|")[2:-1]]
    measured = [re.sub(r"[* ]|\(.*\)", "", cell) for cell in cells]
    svg = (ROOT / "docs" / f"swaps-{theme}.svg").read_text(encoding="utf-8")
    shown = sorted(
        # A number stands a little lower where it is alone in its cell.
        (int(float(y) - 92) // 46, float(x), number)
        for x, y, number in NUMBER.findall(svg)
    )
    assert len(measured) == 25
    # Five columns without a map, then five with one.
    assert [number for place, (*_, number) in enumerate(shown) if place % 10 >= 5] == measured


def test_the_citation_names_authors_and_date():
    """CITATION.cff is a citation file of version 1.2 whose version is the package's."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", citation["date-released"])
    assert citation["authors"]
    assert [a["family-names"] for a in citation["preferred-citation"]["authors"]] == [
        "McNeely-White",
        "Sattelberg",
        "Blanchard",
        "Beveridge",
    ]
