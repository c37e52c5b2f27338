import json

import numpy as np
import pytest

from intertwine.errors import FileFormatError
from intertwine.features import samples
from intertwine.features import samples as packed
from intertwine.features.feature_set import FeatureSet
from intertwine.spaces import Head

RNG = np.random.default_rng(0)
N = 40


def make_sample(path):
    """Write a sample of two spaces; return their features, heads, labels and the evaluation rows."""
    arrays = {a: np.maximum(RNG.standard_normal((N, d)), 0) for a, d in (("x", 6), ("y", 9))}
    heads = {a: Head(RNG.standard_normal((5, v.shape[1])), np.arange(5)) for a, v in arrays.items()}
    labels, is_eval = RNG.integers(5, size=N), np.arange(N) % 3 == 0
    stored = {"labels": labels, "is_eval": is_eval, "ids": np.array([f"r{i}" for i in range(N)])}
    for name, array in arrays.items():
        stored |= {f"{name}.{k}": v for k, v in packed.encode(array).items()}
        stored |= {f"{name}.head.{k}": v for k, v in packed.encode_head(heads[name]).items()}
    facts = {"spaces": {a: {} for a in arrays}, "controls": ["y"], "notes": ["8 bits"]}
    np.savez_compressed(path, facts=json.dumps(facts), **stored)
    return arrays, heads, labels, is_eval


def test_unpacking_gives_two_feature_sets(tmp_path):
    """The sample becomes a fit folder and an evaluation folder over disjoint rows."""
    arrays, heads, labels, is_eval = make_sample(tmp_path / "s.npz")
    fit, evaluation, controls, notes = samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    assert (controls, notes) == (["y"], ["8 bits"])
    for folder, rows in ((fit, ~is_eval), (evaluation, is_eval)):
        opened = FeatureSet.open(folder)
        np.testing.assert_array_equal(opened.labels, labels[rows])
        ids = (folder / "ids.txt").read_text().split()
        assert ids == [f"r{i}" for i in np.flatnonzero(rows)]
        for name, array in arrays.items():
            read = opened.read([name], range(opened.n))[name]
            np.testing.assert_allclose(read, array[rows], atol=0.012)
            np.testing.assert_allclose(opened.heads[name].weight, heads[name].weight, atol=0.02)


def test_unpacking_again_writes_nothing(tmp_path):
    """A sample that is unpacked already is left alone."""
    make_sample(tmp_path / "s.npz")
    fit, *_ = samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    before = {path: path.stat().st_ino for path in fit.iterdir()}
    samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    assert {path: path.stat().st_ino for path in fit.iterdir()} == before


def test_another_sample_replaces_the_first(tmp_path):
    """A changed sample is unpacked over the old one."""
    make_sample(tmp_path / "s.npz")
    samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    arrays, _, _, is_eval = make_sample(tmp_path / "s.npz")
    fit, *_ = samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    np.testing.assert_allclose(np.load(fit / "x.npy"), arrays["x"][~is_eval], atol=0.012)


@pytest.mark.parametrize("damage", ["removed folder", "damaged stamp"])
def test_unpacking_is_done_again_where_it_was_undone(tmp_path, damage):
    """A folder that was removed, or a stamp that is cut, only means unpacking once more."""
    make_sample(tmp_path / "s.npz")
    fit, *_ = samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    if damage == "removed folder":
        for path in fit.iterdir():
            path.unlink()
        fit.rmdir()
    else:
        (tmp_path / "out" / "unpacked.json").write_text("{")
    samples.unpack(tmp_path / "s.npz", tmp_path / "out")
    assert FeatureSet.open(fit).n == np.count_nonzero(np.arange(N) % 3)


def test_a_damaged_sample_is_refused(tmp_path):
    """A sample that is cut, or has bytes changed in it, is refused and never half understood."""
    make_sample(tmp_path / "s.npz")
    data = (tmp_path / "s.npz").read_bytes()
    refused = 0
    for position in range(0, len(data), 149):
        changed = bytearray(data)
        changed[position] ^= 0x55
        for kind, body in (("cut", data[:position]), ("changed", bytes(changed))):
            (tmp_path / f"{kind}.npz").write_bytes(body)
            try:
                samples.unpack(tmp_path / f"{kind}.npz", tmp_path / kind / str(position))
            except FileFormatError as error:
                assert "not a whole sample" in str(error)  # noqa: PT017
                refused += 1
    assert refused > len(data) / 149


def test_what_is_no_sample_is_refused(tmp_path):
    """Rubbish, a bare array and an archive of other arrays are refused."""
    (tmp_path / "rubbish.npz").write_bytes(b"rubbish")
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.ones(3))
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "facts.npz", facts="[]")
    for name in ("rubbish", "array", "other", "facts"):
        with pytest.raises(FileFormatError, match="not a whole sample"):
            samples.unpack(tmp_path / f"{name}.npz", tmp_path / "out")
        assert not (tmp_path / "out" / "fit").exists()
