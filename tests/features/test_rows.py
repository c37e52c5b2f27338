import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.features.rows import (
    content_hashes,
    curve_sizes,
    ids_of,
    join_order,
    nested_subsets,
    read_id_hashes,
    row_number_hashes,
)


def ids_file(tmp_path, ids, *, end="\n", name="ids.txt"):
    """Write an ids.txt."""
    path = tmp_path / name
    path.write_bytes("".join(f"{value}{end}" for value in ids).encode())
    return path


def test_a_hash_depends_on_the_id_alone(tmp_path):
    """The same id has the same hash in any row of any file, whatever the line ends."""
    ids = [f"n0{i}/Bild_ä {i}.jpg" for i in range(50)]
    first = read_id_hashes(ids_file(tmp_path, ids), 50)
    second = read_id_hashes(ids_file(tmp_path, ids[::-1], end="\r\n", name="b.txt"), 50)
    assert len(set(first.tolist())) == 50
    np.testing.assert_array_equal(first, second[::-1])


def test_the_last_line_needs_no_end(tmp_path):
    """A file whose last line does not end is whole."""
    path = tmp_path / "ids.txt"
    path.write_text("a\nb\nc")
    assert len(set(read_id_hashes(path, 3).tolist())) == 3


@pytest.mark.parametrize(("count", "n"), [(4, 5), (6, 5), (0, 5)])
def test_refuses_another_number_of_ids_than_rows(tmp_path, count, n):
    """Fewer or more ids than rows are refused with both numbers."""
    with pytest.raises(InputError, match=f"got {count} ids, expected {n}"):
        read_id_hashes(ids_file(tmp_path, range(count)), n)


def test_names_an_id_that_stands_twice(tmp_path):
    """A duplicated id is refused by name."""
    with pytest.raises(InputError, match="the id 'b' repeats"):
        read_id_hashes(ids_file(tmp_path, ["a", "b", "c", "b"]), 4)


def test_names_the_line_that_is_empty(tmp_path):
    """An empty line is refused by number."""
    with pytest.raises(InputError, match="line 2 is empty"):
        read_id_hashes(ids_file(tmp_path, ["a", "", "c"]), 3)


def test_refuses_ids_that_are_no_text(tmp_path):
    """A file that is not UTF-8 is refused."""
    (tmp_path / "ids.txt").write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(FileFormatError, match=r"ids\.txt: is not UTF-8 text"):
        read_id_hashes(tmp_path / "ids.txt", 2)


def test_ids_are_found_again_by_their_hashes(tmp_path):
    """Hashes lead back to ids, up to a limit, for error messages."""
    path = ids_file(tmp_path, "abcdef")
    hashes = read_id_hashes(path, 6)
    assert ids_of(path, set(hashes[[4, 1]].tolist()), limit=9) == ["b", "e"]
    assert ids_of(path, set(hashes.tolist()), limit=2) == ["a", "b"]


def test_row_number_hashes_are_distinct_and_grow_with_the_file():
    """Hashes of row numbers are distinct, and those of a longer set begin with a shorter one's."""
    long = row_number_hashes(200_000)
    assert np.unique(long).size == 200_000
    np.testing.assert_array_equal(row_number_hashes(1000), long[:1000])


def test_row_number_hashes_follow_the_published_generator():
    """They are the outputs of SplitMix64 with seed 0, whose first ones are widely printed."""
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert row_number_hashes(3).tolist() == expected


def test_join_finds_each_row_of_the_reference():
    """The order of a join brings the other set's rows into the reference's."""
    rng = np.random.default_rng(0)
    reference = row_number_hashes(500)
    other = reference[rng.permutation(500)]
    order, absent, extra = join_order(reference, other)
    np.testing.assert_array_equal(other[order], reference)
    assert absent.size == extra.size == 0


def test_join_names_what_either_side_lacks():
    """Rows on one side only are named and there is no order."""
    reference, other = np.array([1, 2, 3], np.uint64), np.array([3, 4, 2, 5], np.uint64)
    order, absent, extra = join_order(reference, other)
    assert order is None
    assert (absent.tolist(), extra.tolist()) == ([1], [4, 5])


def test_rings_add_up_to_nested_subsets_and_hold_no_row_twice():
    """The union of the first k rings is the rows with the least hashes; rings are disjoint."""
    hashes = row_number_hashes(1000)
    sizes = [16, 100, 101, 640, 1000]
    subsets = nested_subsets(hashes, sizes)
    by_hash = sorted(range(1000), key=hashes.tolist().__getitem__)
    for k, size in enumerate(sizes):
        union = np.concatenate(subsets[: k + 1])
        assert len(union) == len(set(union.tolist())) == size
        assert set(union.tolist()) == set(by_hash[:size])
    assert all((np.diff(subset) > 0).all() for subset in subsets)


def test_subsets_depend_on_ids_and_not_on_the_order_of_rows():
    """The same ids in another order give the same subsets of ids."""
    rng = np.random.default_rng(0)
    hashes = row_number_hashes(300)
    order = rng.permutation(300)
    for a, b in zip(
        nested_subsets(hashes, [40, 150]), nested_subsets(hashes[order], [40, 150]), strict=True
    ):
        assert set(hashes[a].tolist()) == set(hashes[order][b].tolist())


def test_a_subset_is_spread_over_sorted_data():
    """A subset of data that lie sorted by class holds classes in their proportions."""
    labels = np.repeat(np.arange(10), 400)
    (subset,) = nested_subsets(row_number_hashes(4000), [1000])
    counts = np.bincount(labels[subset], minlength=10)
    # 100 each, with a binomial deviation of 9.5.
    assert (np.abs(counts - 100) < 48).all()


@pytest.mark.parametrize("n", [2, 3, 17, 100, 2600, 1_281_167])
@pytest.mark.parametrize("points", [1, 2, 8, 10])
def test_curve_sizes_ascend_to_all_rows(n, points):
    """Sizes ascend, are no more than asked for and end at all rows."""
    sizes = curve_sizes(n, points)
    assert sizes == sorted(set(sizes))
    assert 1 <= len(sizes) <= points
    assert sizes[-1] == n
    assert sizes[0] >= min(n, 16)


@pytest.mark.parametrize("n", [100, 2600, 1_281_167])
def test_curve_has_the_points_asked_for(n):
    """With a hundred rows or more there are as many points as asked for, evenly on a log scale."""
    sizes = np.array(curve_sizes(n, 10))
    assert len(sizes) == 10
    steps = np.diff(np.log(sizes))
    assert steps.max() < 1.5 * steps.min()


def test_equal_rows_hash_alike_in_every_type():
    """Rows of equal numbers have one hash, whatever their type, sign of zero, order or overflow."""
    rows = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float16)
    rows[3, 2] = 0.0
    expected = content_hashes(rows)
    assert len(np.unique(expected)) == 50
    np.testing.assert_array_equal(content_hashes(rows.astype(np.float64)[::-1]), expected[::-1])
    negative = rows.astype(np.float32)
    negative[3, 2] = -0.0
    np.testing.assert_array_equal(content_hashes(np.asfortranarray(negative)), expected)
    assert len(content_hashes(np.array([[1e300, np.nan], [-1e300, np.inf]]))) == 2
