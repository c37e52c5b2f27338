"""Long names in the terminal: whole wherever they stand, whatever the terminal's width."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tests.studies.closed_set.closed_set_result import build_report
from tests.studies.open_set.open_set_result import build_open_set
from tests.studies.plan.plan_result import build_plan
from tests.studies.similarity.similarity_result import build_result

# Names of 40 letters that share their beginning and their end.
LONG = [f"tf_efficientnetv2_base_{letter * 2}_in21k_ft_in1k_e" for letter in "abcd"]


def renamed(result, names):
    """Return a result whose spaces have long names, and which spaces those are."""
    text = json.dumps(result)
    for old, new in zip(names, LONG, strict=False):
        text = text.replace(json.dumps(old), json.dumps(new))
    return json.loads(text)


def closed_set():
    """Print a closed-set result."""
    from intertwine.studies.closed_set.command import print_closed_set

    result = build_report() | {"overlap": 0}
    names = [row["space"] for row in result["natives"] if not row["control"]]
    print_closed_set(renamed(result, names))
    return LONG


def open_set():
    """Print an open-set result."""
    from intertwine.studies.open_set.command import print_open_set

    result = build_open_set()
    print_open_set(renamed(result, [row["space"] for row in result["natives"]]))
    return LONG


def similarity():
    """Print a similarity result."""
    from intertwine.studies.similarity.command import _print

    result = build_result(4, control=False)
    _print(renamed(result, [row["space"] for row in result["spaces"]]))
    return LONG


def linkage():
    """Print a linkage result."""
    from intertwine.studies.linkage.command import _print
    from intertwine.studies.linkage.tables import PAIRS

    sizes = {"n_probes": 9, "n_people": 8, "n_gallery": 7}
    scores = dict.fromkeys(("rank1", "tpir_at_fpir_1e-2", "d_sys", "chance"), 0.5)
    rows = [
        PAIRS.undefined("", source=a, target=b, condition="mapped", known_pairs=10) | sizes | scores
        for a in LONG
        for b in LONG
    ]
    _print({"pairs": rows, "warnings": [], "notes": []})
    return LONG


def plan():
    """Print a plan."""
    from intertwine.studies.plan.command import _print

    result = build_plan()
    _print(result | dict(zip(("source", "target"), LONG, strict=False)) | {"warnings": []})
    return LONG[:2]


@pytest.mark.quick("open_set-60", "open_set-80")
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("show", [closed_set, open_set, similarity, linkage, plan])
def test_a_study_shows_every_name_whole(monkeypatch, capsys, show, width):
    """No table is wider than the terminal, nothing in it is cut, and every name is there."""
    monkeypatch.setenv("COLUMNS", str(width))
    names = show()
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, lines)) <= width
    assert not re.search(r"\w…", out)
    for name in names:
        assert name in out


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return a feature set of spaces with long names."""
    folder = tmp_path_factory.mktemp("long")
    rng = np.random.default_rng(0)
    for name in LONG[:2]:
        np.save(folder / f"{name}.npy", rng.standard_normal((40, 3)))
    return folder


@pytest.mark.quick("80")
@pytest.mark.parametrize("width", [60, 80, 120])
def test_commands_on_files_show_every_name_whole(intertwine, monkeypatch, maps, tmp_path, width):
    """`fit` names each map by both its spaces, and `inspect` the spaces of a set and a report."""
    monkeypatch.setenv("COLUMNS", str(width))
    done = intertwine("fit", maps, "--out", tmp_path / "maps")
    for a, b in (LONG[:2], LONG[1::-1]):
        assert f"{a}--{b}.safetensors" in done.out
    assert all(f"{name}:" in intertwine("inspect", maps).out for name in LONG[:2])
    pairs = [{"source": a, "target": b, "r2": 0.5} for a in LONG for b in LONG]
    (tmp_path / "report.json").write_text(json.dumps({"study": "similarity", "pairs": pairs[:7]}))
    lines = intertwine("inspect", tmp_path / "report.json").out.splitlines()
    table = lines[lines.index("pairs:") + 1 :] if "pairs:" in lines else lines
    if width == 120:
        assert table[1].split() == [LONG[0], LONG[0], "0.5"]
    else:
        assert table[1:4] == [
            "  1       1       0.5",
            "  1       2       0.5",
            "  1       3       0.5",
        ]
        assert table[-4:] == [f"  {number} = {name}" for number, name in enumerate(LONG, 1)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_encoders_show_every_name_whole(intertwine, monkeypatch, width):
    """The list of encoders is the same whatever the width."""
    from intertwine.encoders.presets.presets import PRESETS

    monkeypatch.setenv("COLUMNS", str(width))
    out = intertwine("encoders").out
    assert all(f"    {each.name}: " in out for preset in PRESETS.values() for each in preset)
