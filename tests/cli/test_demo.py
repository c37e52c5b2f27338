import json
import sys

import numpy as np
import pytest
from tests.faces import Faces

from intertwine.features import samples as packed


@pytest.fixture(scope="module")
def sample(tmp_path_factory, networks):
    """Return a small sample of three networks, one of them a control."""
    nets = networks({"a": 12, "b": 9, "control": 10})
    features, labels = nets.rows(150, 1)
    stored = {
        "labels": labels,
        "is_eval": np.arange(150) % 3 == 0,
        "ids": np.array([f"r{i}" for i in range(150)]),
    }
    for name, array in features.items():
        stored |= {f"{name}.{k}": v for k, v in packed.encode(array).items()}
        head = packed.encode_head(nets.heads[name])
        stored |= {f"{name}.head.{k}": v for k, v in head.items()}
    info = {"a": {"reported_top1": 0.7, "crop": [9, 9], "parameters": 123}, "b": {}, "control": {}}
    facts = {"spaces": info, "controls": ["control"], "notes": ["features are stored at 8 bits"]}
    path = tmp_path_factory.mktemp("sample") / "s.npz"
    np.savez_compressed(path, facts=json.dumps(facts), **stored)
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return a small sample of made-up faces."""
    people = Faces({"x": 8, "y": 6}, noise=0.4)
    stored = {
        f"{a}.{k}": v for a, x in people.features.items() for k, v in packed.encode(x).items()
    }
    pairs = np.array(people.pairs)
    stored |= dict(zip(("first", "second", "same", "fold"), pairs.T, strict=True))
    facts = {"spaces": {"x": {}, "y": {}}, "notes": ["faces are stored at 8 bits"]}
    path = tmp_path_factory.mktemp("faces") / "f.npz"
    np.savez_compressed(path, facts=json.dumps(facts), person=people.person, **stored)
    return path


def test_ends_with_a_table_and_the_reports_path(intertwine, sample, faces, tmp_path):
    """The demo unpacks the sample, prints a table and names the report's page."""
    done = intertwine("demo", "--sample", sample, "--faces", faces, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "native" in done.out
    pages = [tmp_path / name / "report.html" for name in ("report", "open-set")]
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith("report: ")] == [
        f"report: {p}" for p in pages
    ]
    assert all(page.exists() for page in pages)
    verified = json.loads((tmp_path / "open-set" / "report.json").read_text())
    assert (verified["n_pairs"], verified["fit"], verified["threshold"]) == (
        120,
        "images",
        "crossfit",
    )
    assert "faces are stored at 8 bits" in verified["notes"]
    assert (tmp_path / "sample" / "fit" / "a.npy").exists()


@pytest.mark.slow
def test_json_is_the_report_on_the_samples_of_the_checkout(
    intertwine, sample, faces, tmp_path, monkeypatch
):
    """With --json the report's object is printed, with the facts and notes of ./sample in it."""
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "imagenet.npz").symlink_to(sample)
    (tmp_path / "sample" / "faces.npz").symlink_to(faces)
    monkeypatch.chdir(tmp_path)
    result = intertwine("demo", "--out", tmp_path, "--json").json()
    assert result == json.loads((tmp_path / "report" / "report.json").read_text())
    assert (result["n_fit"], result["n_eval"], result["controls"]) == (100, 50, ["control"])
    assert "features are stored at 8 bits" in result["notes"]
    row = result["natives"][0]
    assert (row["reported_top1"], row["crop"], row["parameters"]) == (0.7, [9, 9], 123)


def test_a_sample_that_is_absent_or_damaged_is_one_line(intertwine, sample, faces, tmp_path):
    """Without a whole sample one line says so and no report is made."""
    done = intertwine("demo", "--sample", tmp_path / "none.npz", "--out", tmp_path / "out")
    assert "give the path of sample/imagenet.npz of a checkout with --sample" in done.error()
    done = intertwine("demo", "--faces", tmp_path / "none.npz", "--out", tmp_path / "out")
    assert "give the path of sample/faces.npz of a checkout with --faces" in done.error()
    (tmp_path / "cut.npz").write_bytes(sample.read_bytes()[:-200])
    more = ("--faces", faces, "--out", tmp_path / "out")
    done = intertwine("demo", "--sample", tmp_path / "cut.npz", *more)
    assert "not a whole sample" in done.error()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_outside_a_checkout_the_package_has_a_sample(intertwine, sample, tmp_path, monkeypatch):
    """Where there is no checkout the sample of the package is used, and the faces are left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(packed, "__file__", str(tmp_path / "lib/site/intertwine/features/x.py"))
    monkeypatch.setattr(packed, "SMALL", sample)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = intertwine("demo", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert f"report: {tmp_path / 'out' / 'report' / 'report.json'}" in done.out
    page, faces = done.err.splitlines()
    assert "matplotlib is not installed; run: pip install 'intertwine[report]'" in page
    assert faces.endswith("give sample/faces.npz of one with --faces")
    assert not (tmp_path / "out" / "open-set").exists()


def test_the_sample_is_looked_for_first(intertwine, tmp_path, monkeypatch):
    """A sample that is absent is told before anything that is not installed."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = intertwine("demo", "--sample", tmp_path / "none.npz", "--out", tmp_path / "out")
    assert "no sample at" in done.error()
