import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, read_pairs, write_models

from intertwine.errors import InputError, SpaceMismatchError
from intertwine.spaces import Space
from intertwine.studies.plan.pairs import store_sample
from intertwine.vectors import open_vectors


def test_rows_stand_in_an_order_that_ids_decide(tmp_path, write_folder):
    """Shuffled rows are read in the same order, each with its own partner and label."""
    folder = write_models(tmp_path / "one", write_folder, 60)
    order = np.random.default_rng(0).permutation(60)
    ids = (folder / "ids.txt").read_text().split()
    other = write_folder(
        tmp_path / "other",
        {name: np.load(folder / f"{name}.npy")[order] for name in ("old", "new")},
        labels=np.load(folder / "labels.npy")[order],
        ids=[ids[row] for row in order],
    )
    one, same = read_pairs(folder), read_pairs(other)
    for name in ("a", "b", "labels", "ids"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.a, np.load(folder / "old.npy"))


def test_more_rows_than_asked_for_are_sampled(tmp_path, write_folder):
    """A sample is of the size asked for, is nested in a larger one, and is said in a note."""
    folder = write_models(tmp_path / "set", write_folder, 200)
    small, large = read_pairs(folder, rows=60), read_pairs(folder, rows=90)
    assert (small.n, large.n) == (60, 90)
    np.testing.assert_array_equal(small.a, large.a[:60])
    assert "60 of 200 pairs of set are used" in small.notes[0]
    assert read_pairs(folder).notes == []


def spoilt(folder, name, change):
    """Change an array of a folder."""
    array = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", change(array))


def put(row, value):
    """Return a function that sets a row."""

    def change(array):
        array[row] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("old", put(7, np.nan), "old: NaN or infinite features in rows 7"),
        ("new", put(9, 0), "new: row 9 has length zero"),
        ("old", put(slice(None), 1), "space old is constant"),
        ("new", put(slice(None), 2), "space new is constant"),
    ],
)
def test_bad_vectors_are_named(tmp_path, write_folder, name, change, message):
    """NaN, a vector without direction and a constant space are each refused in one line."""
    folder = write_models(tmp_path / "set", write_folder, 60)
    spoilt(folder, name, change)
    with pytest.raises(InputError, match=message):
        read_pairs(folder)


def test_a_zero_has_an_inner_product(tmp_path, write_folder):
    """A vector of length zero is refused for want of a cosine alone."""
    folder = write_models(tmp_path / "set", write_folder, 60)
    spoilt(folder, "new", put(9, 0))
    assert read_pairs(folder, metric="ip").n == 60


def test_fewer_than_fifty_pairs_are_too_few(tmp_path, write_folder):
    """A forecast from 49 pairs is refused, and 49 as the most to use."""
    folder = write_models(tmp_path / "set", write_folder, 49)
    with pytest.raises(InputError, match="got 49 pairs, expected at least 50"):
        read_pairs(folder)
    with pytest.raises(InputError, match="got 49 rows, expected at least 50"):
        read_pairs(folder, rows=49)


def test_items_of_the_pairs_are_no_proxy(tmp_path, write_folder):
    """Items that both sets hold are left out of the proxy, with a note of how many."""
    pairs = read_pairs(write_models(tmp_path / "pairs", write_folder, 60))
    folder = write_models(tmp_path / "proxy", write_folder, 130)
    proxy = read_pairs(folder, without=pairs)
    assert proxy.n == 70
    assert not np.isin(proxy.ids, pairs.ids).any()
    assert "60 items of the proxy left out: they are among the pairs" in proxy.notes
    with pytest.raises(InputError, match="got 0 pairs"):
        read_pairs(tmp_path / "pairs", without=pairs)


def test_a_proxy_of_other_spaces_is_refused(tmp_path, write_folder):
    """A proxy whose old space has another dimension is another model's."""
    pairs = read_pairs(write_models(tmp_path / "pairs", write_folder, 60))
    folder = write_models(tmp_path / "proxy", write_folder, 60, prefix="other", d_old=20)
    with pytest.raises(SpaceMismatchError, match="dimension 20"):
        read_pairs(folder, without=pairs)


@pytest.mark.parametrize(("d_old", "d_new"), [(24, 90), (90, 24), (70, 90)])
def test_compact_coordinates_keep_every_product(tmp_path, write_folder, d_old, d_new):
    """A space of more dimensions than pairs gets as many as pairs, products of rows as they were."""
    pairs = read_pairs(write_models(tmp_path / "set", write_folder, 60, d_old=d_old, d_new=d_new))
    small = pairs.compact
    for one, other, space in (
        (small.a, pairs.a, small.source),
        (small.b, pairs.b, small.target),
    ):
        assert one.shape == (60, min(60, other.shape[1])) == (60, space.dim)
        np.testing.assert_allclose(one @ one.T, other @ other.T, atol=1e-11)
    assert (small.source.name, small.target.name) == ("old", "new")


def test_pairs_of_few_dimensions_are_compact_already(tmp_path, write_folder):
    """Where neither space has more dimensions than there are pairs nothing is made anew."""
    pairs = read_pairs(write_models(tmp_path / "set", write_folder, 60))
    assert pairs.compact is pairs


def test_a_store_is_sampled_evenly(tmp_path, monkeypatch):
    """Of a store with more vectors than are looked at, first and last are among those read."""
    monkeypatch.setattr("intertwine.studies.plan.pairs.STORE_ROWS", 50)
    vectors = models(333)[0].astype(np.float32)
    np.save(tmp_path / "store.npy", vectors)
    found = store_sample(open_vectors(tmp_path / "store.npy"), Space("old", 24), metric="cosine")
    rows = np.linspace(0, 332, 50).round().astype(int)
    np.testing.assert_array_equal(found, vectors[rows])


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((5, 20)), "got vectors of dimension 20, expected 24"),
        (np.zeros((0, 24)), "holds no vectors"),
        (np.full((5, 24), np.inf), "NaN or infinite features in rows 0"),
        (np.zeros((5, 24)), "row 0 has length zero"),
    ],
)
def test_a_store_that_cannot_be_compared_is_refused(tmp_path, vectors, message):
    """Vectors of another dimension, none, infinite ones and zeros are one line each."""
    np.save(tmp_path / "store.npy", vectors)
    with pytest.raises(InputError, match=message):
        store_sample(open_vectors(tmp_path / "store.npy"), Space("old", 24), metric="cosine")
