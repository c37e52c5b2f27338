import json

import numpy as np
import pytest

from intertwine.errors import FileFormatError
from intertwine.features import samples as packed
from intertwine.features.feature_set import FeatureSet
from intertwine.features.samples import unpack_faces
from intertwine.studies.open_set.pairs import read_pairs

N = 24


def make_sample(path, **changes):
    """Write a sample of two spaces and eight pairs; return its features."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((N, 5)), "y": rng.standard_normal((N, 3))}
    stored = {f"{a}.{k}": v for a, x in arrays.items() for k, v in packed.encode(x).items()}
    stored |= {
        "person": np.arange(N) // 3,
        "first": np.arange(8) * 3,
        "second": np.array([1, 6, 7, 0, 13, 18, 19, 12]),
        "same": np.array([1, 0] * 4, bool),
        "fold": np.repeat([1, 2], 4),
    }
    stored["second"][::2] = stored["first"][::2] + 1
    facts = {"spaces": {a: {} for a in arrays}, "notes": ["8 bits"]}
    np.savez_compressed(path, **{**stored, "facts": json.dumps(facts), **changes})
    return arrays


def test_unpacking_gives_a_set_and_pairs(tmp_path):
    """The sample becomes a feature set with people as labels, and a list that names its rows."""
    arrays = make_sample(tmp_path / "s.npz")
    folder, pairs, notes = unpack_faces(tmp_path / "s.npz", tmp_path / "out")
    opened, listed = FeatureSet.open(folder), read_pairs(pairs)
    assert notes == ["8 bits"]
    np.testing.assert_array_equal(opened.labels, np.arange(N) // 3)
    for name, array in opened.read(["x", "y"], range(N)).items():
        np.testing.assert_allclose(array, arrays[name], atol=0.02)
    assert listed.first == [str(3 * i) for i in range(8)]
    assert listed.n_folds == 2
    assert listed.same.tolist() == [True, False] * 4


def test_unpacking_again_writes_nothing(tmp_path):
    """A sample that is unpacked already is left alone, and one that lost a file is not."""
    make_sample(tmp_path / "s.npz")
    folder, pairs, _ = unpack_faces(tmp_path / "s.npz", tmp_path / "out")
    before = (folder / "x.npy").stat().st_ino
    assert unpack_faces(tmp_path / "s.npz", tmp_path / "out")[2] == ["8 bits"]
    assert (folder / "x.npy").stat().st_ino == before
    pairs.unlink()
    unpack_faces(tmp_path / "s.npz", tmp_path / "out")
    assert pairs.exists()


@pytest.mark.parametrize(
    "change", [{"person": np.arange(5)}, {"first": np.full(8, N)}, {"facts": "[]"}]
)
def test_what_does_not_belong_together_is_refused(tmp_path, change):
    """Rows that differ, pairs of absent rows, and facts that are none are refused."""
    make_sample(tmp_path / "s.npz", **change)
    with pytest.raises(FileFormatError, match="not a whole sample"):
        unpack_faces(tmp_path / "s.npz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cut_sample_is_refused(tmp_path):
    """A sample that is cut anywhere is refused."""
    make_sample(tmp_path / "s.npz")
    data = (tmp_path / "s.npz").read_bytes()
    for position in range(0, len(data), 301):
        (tmp_path / "cut.npz").write_bytes(data[:position])
        with pytest.raises(FileFormatError, match="not a whole sample"):
            unpack_faces(tmp_path / "cut.npz", tmp_path / "out")
