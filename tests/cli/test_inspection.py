import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from intertwine.cli.inspect import describe
from intertwine.errors import FileFormatError, InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.passes.fit import fit_to_files
from intertwine.passes.moments.joint import joint_moments
from intertwine.spaces import Head

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path, networks):
    """Return a folder with a feature set `set`."""
    networks({"a": 8, "b": 6}, n_classes=5, dtype=np.float16).save(tmp_path / "set", 40, 1)
    return tmp_path


def test_a_feature_set(folder):
    """Rows, labels and each space's dimension, type, classes and encoder are told."""
    manifest = {"spaces": {"a": {"fingerprint": "0" * 64, "encoder": "onnx:net.onnx"}}}
    (folder / "set" / "feature_set.json").write_text(json.dumps(manifest))
    (folder / "set" / "b.head.safetensors").unlink()
    facts = describe(folder / "set")
    labels = np.load(folder / "set" / "labels.npy")
    assert {key: facts[key] for key in ("kind", "rows", "ids", "labels")} == {
        "kind": "feature set",
        "rows": 40,
        "ids": False,
        "labels": np.unique(labels).size,
    }
    assert facts["spaces"] == {
        "a": {
            "dim": 8,
            "dtype": "float16",
            "classes": 5,
            "fingerprint": "0" * 64,
            "encoder": "onnx:net.onnx",
        },
        "b": {"dim": 6, "dtype": "float16", "classes": None, "fingerprint": None, "encoder": None},
    }


def test_files_of_a_feature_set(folder):
    """An array, labels and a head are told apart and described."""
    assert describe(folder / "set" / "b.npy") == {
        "kind": "array",
        "rows": 40,
        "dim": 6,
        "dtype": "float16",
    }
    labels = np.load(folder / "set" / "labels.npy")
    assert describe(folder / "set" / "labels.npy") == {
        "kind": "labels",
        "rows": 40,
        "classes": np.unique(labels).size,
    }
    weight = np.outer(np.arange(5.0), np.arange(6.0))
    Head(weight).save(folder / "x.head.safetensors")
    facts = describe(folder / "x.head.safetensors")
    assert (facts["kind"], facts["classes"], facts["dim"], facts["rank"]) == ("head", 5, 6, 1)
    assert facts["fingerprint"] == Head(weight).fingerprint()


def test_a_map_and_a_pair(folder):
    """What a map's header says, and the shapes of its arrays, are told."""
    fit_to_files([folder / "set"], folder, options=FitOptions(alpha=2.0), source="a", target="b")
    facts = describe(folder / "a--b.safetensors")
    assert (facts["kind"], facts["method"], facts["info"]["alpha"]) == ("map", "ridge", 2.0)
    assert facts["source"]["name"] == "a"
    assert facts["tensors"]["weight"] == [6, 8]
    assert (facts["fitted_on"]["rows"], facts["fitted_on"]["features"]) == (40, 40)
    options = FitOptions(method="cca", rank=3)
    fit_to_files([folder / "set"], folder, options=options, source="a", target="b")
    facts = describe(folder / "a--b.safetensors")
    assert facts["kind"] == "map pair"
    assert facts["tensors"]["target/weight"] == [3, 6]
    assert facts["source"]["fitted_on"]["rows"] == facts["target"]["fitted_on"]["features"] == 40
    json.dumps(facts, allow_nan=False)


def test_moments(folder):
    """Spaces, rows and precision of moments are told."""
    joint_moments(FeatureSet.open(folder / "set")).save(folder / "m.safetensors")
    facts = describe(folder / "m.safetensors")
    assert (facts["kind"], facts["n"], facts["precision"]) == ("moments", 40, "float64")
    assert [space["name"] for space in facts["spaces"]] == ["a", "b"]
    json.dumps(facts, allow_nan=False)


def test_a_report_and_its_folder(tmp_path):
    """A report's headline numbers and its main table are told, by folder or by file."""
    report = {"study": "closed-set", "n_fit": 9, "median_percent_change": -1.0, "pairs": [{"x": 1}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    for path in (tmp_path, tmp_path / "report.json"):
        facts = describe(path)
        assert (facts["kind"], facts["study"], facts["n_fit"]) == ("report", "closed-set", 9)
        assert facts["median_percent_change"] == -1.0
        assert facts["pairs"] == [{"x": 1}]


@pytest.mark.parametrize("text", ["{", "[]", '{"something": "else"}'])
def test_refuses_json_of_others(tmp_path, text):
    """JSON that is no report is refused."""
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileFormatError, match=r"x\.json"):
        describe(tmp_path / "x.json")


def test_refuses_what_is_not_ours(tmp_path):
    """Nothing, an empty folder and files of others are refused, saying which."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    save_file({"weight": np.ones(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="nothing there"):
        describe(tmp_path / "absent")
    with pytest.raises(InputError, match="not a feature set"):
        describe(tmp_path / "empty")
    for name in ("text", "foreign.safetensors"):
        with pytest.raises(FileFormatError, match="not a file that intertwine wrote"):
            describe(tmp_path / name)


def test_a_changed_byte_is_found(folder):
    """A map whose numbers were changed is refused, not described."""
    fit_to_files([folder / "set"], folder, options=FitOptions(), source="a", target="b")
    file = folder / "a--b.safetensors"
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    with pytest.raises(FileFormatError, match="checksum does not match"):
        describe(file)
