import json

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features import sample as samples
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
        stored |= {f"{name}.{k}": v for k, v in samples.encode(array).items()}
        stored |= {f"{name}.head.{k}": v for k, v in samples.encode_head(heads[name]).items()}
    facts = {"spaces": {a: {} for a in arrays}, "controls": ["y"], "notes": ["8 bits"]}
    np.savez_compressed(path, facts=json.dumps(facts), **stored)
    return arrays, heads, labels, is_eval


def test_eight_bits_cost_at_most_half_a_step():
    """Decoded features differ by at most half of 1/255 of each column's range."""
    array = RNG.standard_normal((200, 12)) * np.geomspace(1e-3, 1e3, 12)
    decoded = samples.decode(samples.encode(array))
    step = (array.max(axis=0) - array.min(axis=0)) / 255
    assert (np.abs(decoded - array) <= 0.502 * step).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_constant_columns_and_extremes_are_kept(dtype):
    """A constant column is exact, and so are the ends of every other column's range."""
    array = np.column_stack([np.full(50, 0.25), np.linspace(-1, 2, 50), np.zeros(50)]).astype(dtype)
    decoded = samples.decode(samples.encode(array))
    np.testing.assert_array_equal(decoded[:, [0, 2]], array[:, [0, 2]])
    np.testing.assert_allclose(decoded[[0, -1], 1], [-1, 2], rtol=1e-6)


def test_a_head_keeps_its_scores():
    """A decoded head differs by at most half of 1/127 of each class's largest weight."""
    head = Head(RNG.standard_normal((7, 20)), RNG.standard_normal(7))
    decoded = samples.decode_head(samples.encode_head(head))
    step = np.abs(head.weight).max(axis=1, keepdims=True) / 127
    assert (np.abs(decoded.weight - head.weight) <= 0.502 * step).all()
    np.testing.assert_allclose(decoded.bias, head.bias, rtol=1e-6)


def test_a_class_without_weights_survives():
    """A class whose weights are all zero stays so."""
    head = Head(np.array([[0.0, 0.0], [1.0, -2.0]]))
    np.testing.assert_array_equal(
        samples.decode_head(samples.encode_head(head)).weight[0], np.zeros(2)
    )


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


def test_the_sample_is_looked_for_where_it_was_said(tmp_path):
    """A path that is given is taken; one that is absent is refused with advice."""
    (tmp_path / "s.npz").write_bytes(b"x")
    assert samples.find_sample(tmp_path / "s.npz") == tmp_path / "s.npz"
    with pytest.raises(InputError, match="give its path with --sample"):
        samples.find_sample(tmp_path / "absent.npz")
