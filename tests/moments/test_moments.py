import pickle
from functools import reduce
from itertools import pairwise
from operator import add

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import CASES, array_in, assert_close, assert_refuses_damage, make, moments_of

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.estimators import cca, procrustes, reduced_rank, ridge
from intertwine.moments.accumulators import precisions
from intertwine.moments.accumulators.blas import BlasAccumulator
from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.spaces import Space
from intertwine.storage.files import read_tensors, write_tensors

DTYPES = [np.float16, np.float32, np.float64]
RNG = np.random.default_rng(0)
# More than two blocks, small enough to be added many times.
LONG = {"a": RNG.standard_normal((9000, 3)) + 5, "b": RNG.standard_normal((9000, 2)) - 2}


def state(moments: Moments) -> dict[str, bytes]:
    """Return every number that moments hold, as bytes."""
    sums = moments.sums
    numbers = {
        "n": np.array(sums.n),
        "norm_first": sums.norm_first,
        "norm_second": sums.norm_second,
        **{f"origin {name}": array for name, array in moments.origin.items()},
        **{f"first {name}": array for name, array in sums.first.items()},
        **{f"norm_cross {name}": array for name, array in sums.norm_cross.items()},
        **{f"second {a} {b}": np.triu(x) if a == b else x for (a, b), x in sums.second.items()},
    }
    return {name: array.tobytes() for name, array in numbers.items()}


def assert_moments_of(moments: Moments, rows, tolerance: float, norms: float | None = None) -> None:
    """Check count, means, scatters and centred norms against NumPy in float64."""
    rows = {name: np.asarray(array, np.float64) for name, array in rows.items()}
    centred = {name: x - x.mean(axis=0) for name, x in rows.items()}
    spread = {name: np.sqrt((x**2).sum() / len(x)) for name, x in centred.items()}
    q = np.stack([(x**2).sum(axis=1) for x in centred.values()])
    assert moments.n == q.shape[1]
    raw = moments.sums
    sums = raw.shifted({a: -raw.first[a] / max(raw.n, 1) for a in raw.names})
    for a, x in centred.items():
        assert np.abs(moments.mean(a) - rows[a].mean(axis=0)).max() <= tolerance * (
            spread[a] + np.abs(rows[a].mean(axis=0)).max() * 1e-15 / tolerance
        )
        assert_close(moments.scatter_diagonal(a), (x**2).sum(axis=0), tolerance)
        for b, y in centred.items():
            scale = moments.n * spread[a] * spread[b] or 1.0
            assert np.abs(moments.scatter(a, b) - x.T @ y).max() <= tolerance * scale
        scale = np.sqrt((q**2).sum(axis=1) * (x**2).sum()).max() or 1.0
        assert np.abs(sums.norm_cross[a] - q @ x).max() <= (norms or tolerance) * scale
    names = list(centred)[::-1]
    first, second = moments.norms_about_mean(names)
    assert_close(first[::-1], q.sum(axis=1), norms or tolerance)
    assert_close(second[::-1, ::-1], q @ q.T, norms or tolerance)
    assert_close(moments.norms_about_mean(names[:1])[1], [[(q[-1] ** 2).sum()]], norms or tolerance)


# -- one pass ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_moments_are_those_of_numpy(library, dtype, precision, tolerance):
    """Chunks of any library and dtype give the count, means, scatters and norms of all rows."""
    rows = {name: array[:5000].astype(dtype) for name, array in LONG.items()}
    moments = Moments({"a": 3, "b": 2}, precision=precision)
    for start in range(0, 5000, 700):
        chunk = {name: array[start : start + 700] for name, array in rows.items()}
        moments.update({name: array_in(library, array) for name, array in chunk.items()})
    assert moments.dim == 5
    assert_moments_of(moments, rows, tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-11), ("float32", 2e-5)])
def test_every_shape_and_means_far_from_zero(case, precision, tolerance):
    """Few rows, constant columns and means 10,000 times the spread lose no digits."""
    a, b = make(case)
    assert_moments_of(moments_of(a, b, precision=precision), {"a": a, "b": b}, tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_far_away_in_their_own_precision(dtype):
    """Rounding is that of the dtype given, even where means are 10,000 times the spread."""
    a, b = (array.astype(dtype) for array in make("far"))
    assert_moments_of(moments_of(a, b), {"a": a, "b": b}, 1e-11)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("value", [0.1, -7.3, 1e4 / 3])
def test_a_constant_feature_has_no_spread_at_all(precision, value):
    """Where nothing varies the scatter is exactly zero, whatever the constant's rounding."""
    a, b = make("tall")
    a = np.full_like(a, value)
    moments = moments_of(a, b, precision=precision)
    assert not moments.scatter("a").any()
    assert not moments.scatter("a", "b").any()
    assert not moments.scatter_diagonal("a").any()
    assert_close(moments.mean("a"), a[0], 1e-14 if precision == "float64" else 1e-13)


def test_auto_precision_looks_at_the_joint_dimension():
    """Precision `auto` is float64 for small spaces and float32 for large ones."""
    assert Moments({"a": 4000, "b": 96}).precision == "float64"
    assert Moments({"a": 4000, "b": 97}).precision == "float32"


def test_no_rows_are_moments_too():
    """Before any row n is 0, means are the origin and scatters zero."""
    moments = Moments({"a": 2})
    assert (moments.n, moments.mean("a").tolist()) == (0, [0, 0])
    assert not moments.scatter("a").any()
    moments.update({"a": np.ones((0, 2))})
    assert moments.n == 0
    assert Moments({"a": 1}, origin={"a": np.array([3.0])}).mean("a").tolist() == [3]


def test_one_row():
    """One row is its own mean, without spread."""
    moments = Moments({"a": 2})
    moments.update({"a": [[3.0, -1.0]]})
    assert moments.mean("a").tolist() == [3, -1]
    assert not moments.scatter("a").any()


def test_a_reused_buffer_does_no_harm():
    """The caller may overwrite a chunk as soon as `update` returns."""
    moments, buffer = Moments({"a": 3}), np.empty((100, 3))
    for start in range(0, 9000, 100):
        buffer[:] = LONG["a"][start : start + 100]
        moments.update({"a": buffer})
        buffer[:] = np.nan
    assert_moments_of(moments, {"a": LONG["a"]}, 1e-12)


# -- the grid ---------------------------------------------------------------------------------------


@pytest.mark.quick("float64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 9000), max_size=6))
def test_chunks_move_no_block(precision, cuts):
    """However the rows are cut into `update` calls, the sums are the same to the last bit."""
    whole = moments_of(LONG["a"], LONG["b"], precision=precision)
    parts = Moments({"a": 3, "b": 2}, precision=precision)
    edges = [0, *sorted(cuts), 9000]
    for start, stop in pairwise(edges):
        parts.update({name: array[start:stop] for name, array in LONG.items()})
    assert state(parts) == state(whole)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_layout_moves_no_bit(precision, dtype):
    """Column-major arrays and strided views give the same bytes as row-major ones."""
    rows = {name: array.astype(dtype) for name, array in LONG.items()}
    wide = {name: np.repeat(array, 2, axis=1)[:, ::2] for name, array in rows.items()}
    fortran = {name: np.asfortranarray(array) for name, array in rows.items()}
    whole = state(moments_of(**rows, precision=precision))
    assert state(moments_of(**wide, precision=precision)) == whole
    assert state(moments_of(**fortran, precision=precision)) == whole


def test_workers_cut_at_absolute_rows(monkeypatch):
    """A worker that starts inside a feature set ends its blocks where every other worker does."""
    sizes = []
    plain = BlasAccumulator.close
    monkeypatch.setattr(
        BlasAccumulator, "close", lambda self: (sizes.append(self.fill), plain(self))
    )
    moments_of(LONG["a"], LONG["b"], first_row=100).flush()
    assert sizes == [BLOCK_ROWS - 100, BLOCK_ROWS, 9000 - 2 * BLOCK_ROWS + 100]


def test_two_workers_equal_one_pass():
    """Two workers with one origin, each on its own block, merge to the bytes of one pass."""
    rows = {name: array[: 2 * BLOCK_ROWS] for name, array in LONG.items()}
    whole = moments_of(**rows)
    parts = [
        moments_of(
            *(array[start : start + BLOCK_ROWS] for array in rows.values()),
            origin=whole.origin,
            first_row=start,
        )
        for start in (0, BLOCK_ROWS)
    ]
    assert state(parts[0] + parts[1]) == state(whole)


def test_reading_closes_a_block_and_no_more():
    """Moments read halfway and then filled further are those of all rows."""
    moments = Moments({"a": 3, "b": 2})
    moments.update({name: array[:1000] for name, array in LONG.items()})
    assert moments.mean("a").shape == (3,)
    moments.update({name: array[1000:] for name, array in LONG.items()})
    assert_moments_of(moments, LONG, 1e-12)


# -- merging ----------------------------------------------------------------------------------------


def fitted(moments: Moments):
    """Return the weights and biases of several methods' maps."""
    maps = [
        ridge(moments, "a", ["b"], alpha=1.0)["b"],
        ridge(moments, "a", ["b"], alpha="gcv-per-target", intercept="homogeneous")["b"],
        ridge(moments, "b", ["a"], alpha="gcv")["a"],
        procrustes(moments, "a", ["b"], scale=True)["b"],
        reduced_rank(moments, "a", ["b"], rank=2)["b"],
        cca(moments, "a", ["b"])["b"].to_map(),
    ]
    return [np.column_stack([m.weight, m.bias]) for m in maps]


@st.composite
def partitions(draw, n: int = 200):
    """Draw a permutation of n rows, its cuts, and an order in which parts are merged."""
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(n)
    cuts = draw(st.lists(st.integers(0, n), max_size=8))
    parts = np.split(order, sorted(cuts))
    return parts, draw(st.lists(st.integers(0, 2**16), min_size=len(parts), max_size=len(parts)))


@pytest.mark.quick("float64-1e-08")
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-8), ("float32", 1e-4)])
@settings(max_examples=15)
@given(partition=partitions())
def test_any_split_order_and_grouping_gives_the_same_maps(precision, tolerance, partition):
    """Parts with origins of their own, merged in any order and grouping, give the same maps."""
    a, b = make("tall")
    parts, picks = partition
    forest = [moments_of(a[rows], b[rows], precision=precision) for rows in parts]
    for pick in picks[:-1]:
        left = forest.pop(pick % len(forest))
        right = forest.pop(pick // 7 % len(forest))
        forest.append(left + right)
    for got, expected in zip(
        fitted(forest[0]), fitted(moments_of(a, b, precision=precision)), strict=True
    ):
        assert_close(got, expected, tolerance)


@pytest.mark.parametrize("case", CASES)
def test_merged_moments_are_those_of_one_pass(case):
    """Moments about different origins merge to those of all rows, norms included."""
    a, b = make(case)
    cuts = [0, len(a) // 3, len(a) // 2, len(a)]
    parts = [moments_of(a[i:j], b[i:j]) for i, j in pairwise(cuts)]
    merged = reduce(add, parts)
    assert_moments_of(merged, {"a": a, "b": b}, 1e-11)
    in_place = parts[0].copy()
    for part in parts[1:]:
        in_place += part
    assert state(in_place) == state(merged)


def test_merging_leaves_the_parts_alone():
    """`+`, `-` and `copy` change neither side."""
    a, b = make("tall")
    first, second = moments_of(a[:90], b[:90]), moments_of(a[90:], b[90:])
    before = state(first), state(second)
    whole = first + second
    whole - second
    copied = first.copy()
    copied.update({"a": a, "b": b})
    assert (state(first), state(second)) == before


def test_moments_of_no_rows_are_neutral():
    """Adding or subtracting moments of no rows changes nothing."""
    a, b = make("tall")
    whole, empty = moments_of(a, b), Moments({"a": 12, "b": 7})
    assert state(whole + empty) == state(whole)
    assert state(empty + whole) == state(whole)
    assert state(whole - empty) == state(whole)
    assert (empty + empty).n == 0


def test_float32_moments_stay_marked():
    """What was merged from float32 moments has the rounding of float32, and says so."""
    a, b = make("tall")
    exact, rough = moments_of(a, b), moments_of(a, b, precision="float32")
    assert (exact + rough).precision == "float32"
    assert (rough + exact).precision == "float32"
    assert exact.precision == "float64"


# -- leaving out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["tall", "wide", "constant", "dead", "duplicated", "far"])
@pytest.mark.parametrize("own_origin", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_fold_left_out_leaves_the_rest(case, own_origin, share):
    """Total minus fold equals the moments of the other rows to 1e-10 of the total's scale."""
    a, b = make(case)
    n_fold = int(share * len(a))
    total = moments_of(a, b)
    origin = None if own_origin else total.origin
    rest = total - moments_of(a[:n_fold], b[:n_fold], origin=origin)
    expected = moments_of(a[n_fold:], b[n_fold:], origin=total.origin)
    assert rest.n == expected.n
    for x in "ab":
        spread = np.sqrt(total.scatter_diagonal(x).max() / total.n)
        assert np.abs(rest.mean(x) - expected.mean(x)).max() <= 1e-10 * spread
        for y in "ab":
            scale = np.abs(total.sums.pair(x, y)).max()
            assert np.abs(rest.sums.pair(x, y) - expected.sums.pair(x, y)).max() <= 1e-10 * scale
            assert np.abs(rest.scatter(x, y) - expected.scatter(x, y)).max() <= 1e-10 * scale
        scale = np.abs(total.sums.norm_cross[x]).max()
        error = rest.sums.norm_cross[x] - expected.sums.norm_cross[x]
        assert np.abs(error).max() <= 1e-10 * scale
    for norm in ("norm_first", "norm_second"):
        scale = np.abs(getattr(total.sums, norm)).max()
        error = getattr(rest.sums, norm) - getattr(expected.sums, norm)
        assert np.abs(error).max() <= 1e-10 * scale


def test_too_small_a_rest_is_refused():
    """A difference of less than 1 % of the rows is refused; 1 % is allowed."""
    rows = LONG["a"][:1000], LONG["b"][:1000]
    total = moments_of(*rows)
    assert (total - moments_of(*(array[:990] for array in rows))).n == 10
    for n_fold in (991, 1000):
        with pytest.raises(
            InputError, match=f"got {n_fold} rows to subtract from 1000: less than 1 %"
        ):
            total - moments_of(*(array[:n_fold] for array in rows))
    with pytest.raises(InputError, match="got 1000 rows to subtract from 990"):
        moments_of(*(array[:990] for array in rows)) - total


# -- selecting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["c"], ["c", "a"], ["b", "c", "a"]])
def test_selected_moments_are_those_of_the_spaces_alone(names):
    """Moments of some spaces, in any order, are what those spaces alone would give."""
    rows = {**LONG, "c": RNG.standard_normal((9000, 4))}
    moments = Moments({"a": 3, "b": 2, "c": 4})
    moments.update(rows)
    chosen = moments.select(names)
    assert list(chosen.spaces) == names
    assert_moments_of(chosen, {name: rows[name] for name in names}, 1e-12)
    chosen.update({name: rows[name][:50] for name in names})
    assert moments.n == 9000


def test_unknown_spaces_are_refused():
    """A space that is not there is refused by name, wherever it is asked for."""
    moments = moments_of(*make("tall"))
    with pytest.raises(InputError, match=r"got spaces x, expected some of a, b"):
        moments.select(["a", "x"])
    for ask in (moments.mean, moments.scatter, moments.scatter_diagonal):
        with pytest.raises(InputError, match=r"got space 'x', expected one of a, b"):
            ask("x")
    with pytest.raises(InputError, match="got space 'x'"):
        moments.scatter("a", "x")


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_moments_come_back(tmp_path, precision):
    """Moments read from a file are the same to the last bit, and so is the file written again."""
    moments = moments_of(*make("tall"), precision=precision)
    moments.save(tmp_path / "x")
    loaded = Moments.load(tmp_path / "x")
    assert state(loaded) == state(moments)
    assert (loaded.spaces, loaded.precision) == (moments.spaces, precision)
    loaded.save(tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_loaded_pass_goes_on_where_it_stood(tmp_path):
    """Moments saved, loaded and filled further end their blocks where an unbroken pass does."""
    unbroken, parts = Moments({"a": 3, "b": 2}), Moments({"a": 3, "b": 2})
    for start, stop in ((0, 3000), (3000, 9000)):
        chunk = {name: array[start:stop] for name, array in LONG.items()}
        unbroken.update(chunk)
        unbroken.flush()  # as saving does
        parts.update(chunk)
        parts.save(tmp_path / "x")
        parts = Moments.load(tmp_path / "x")
    assert state(parts) == state(unbroken)


def test_fingerprints_are_kept(tmp_path):
    """What encoders the moments are of is read back."""
    moments = Moments([Space("a", 2, "f" * 64), Space("b", 1)])
    moments.save(tmp_path / "x")
    assert Moments.load(tmp_path / "x").spaces["a"].fingerprint == "f" * 64


@pytest.mark.slow
def test_damaged_files_are_refused(tmp_path):
    """A file of moments with any bit flipped, or cut, is a format error of one line."""
    moments_of(*make("from one")).save(tmp_path / "x")
    assert_refuses_damage(tmp_path / "x", Moments.load)


@pytest.mark.parametrize("name", ["norm_first", "first/a", "second/a/b", "origin/b"])
def test_files_that_lack_a_part_are_refused(tmp_path, name):
    """A file without one of the sums, or with one of another shape, is refused by its name."""
    path = tmp_path / "x"
    moments_of(*make("tall")).save(path)
    tensors, header = read_tensors(path, kind="moments")
    header = {key: header[key] for key in ("spaces", "n", "precision", "next_row")}
    write_tensors(path, {**tensors, name: np.ones(1)}, kind="moments", header=header)
    with pytest.raises(FileFormatError, match=f"{name} has shape"):
        Moments.load(path)
    del tensors[name]
    write_tensors(path, tensors, kind="moments", header=header)
    with pytest.raises(FileFormatError, match=f"holds no '{name}'"):
        Moments.load(path)
    del header["n"]
    write_tensors(path, tensors, kind="moments", header=header)
    with pytest.raises(FileFormatError, match="holds no"):
        Moments.load(path)


# -- arrays in memory -------------------------------------------------------------------------------


def test_moments_of_arrays_are_those_of_updates():
    """Spaces come by keyword or as a mapping, of any library, with their dimensions from the arrays."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((9, 3)), rng.standard_normal((9, 2)).astype(np.float32)
    expected = Moments({"a": 3, "b": 2})
    expected.update({"a": a, "b": b})
    for made in (Moments.of(a=a, b=b), Moments.of({"a": a.tolist()}, b=torch.from_numpy(b))):
        assert made.n == 9
        assert np.array_equal(made.scatter("a", "b"), expected.scatter("a", "b"))
    assert Moments.of(a=a, precision="float32").precision == "float32"
    assert repr(expected) == "Moments(n=9; a (3), b (2); float64)"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "got spaces none, expected one or more"),
        ({"a": np.ones(3)}, r"a: got an array of shape \(3,\)"),
        ({"a": np.ones((3, 2)), "b": np.ones((2, 2))}, "a has 3 rows, b has 2 rows"),
        ({"a": np.ones((3, 2)), "b": np.ones((4, 3))}, r"; b is \(4, 3\): is it transposed\?"),
    ],
)
def test_arrays_that_have_no_joint_moments_are_refused(arrays, message):
    """Arrays that are not (n, d), or differ in rows, are refused by name."""
    with pytest.raises(InputError, match=message):
        Moments.of(**arrays)


# -- bad input --------------------------------------------------------------------------------------


@pytest.mark.quick(
    "chunk2-rows differ between spaces: a has 2 rows, b has 3 rows, expected the same rows",
    "chunk0-got spaces a, expected a, b",
    "chunk1-got spaces a, x",
)
@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ({"a": np.ones((2, 3))}, r"got spaces a, expected a, b"),
        ({"a": np.ones((2, 3)), "x": np.ones((2, 2))}, r"got spaces a, x"),
        (
            {"a": np.ones((2, 3)), "b": np.ones((3, 2))},
            r"rows differ between spaces: a has 2 rows, b has 3 rows, expected the same rows",
        ),
        ({"a": np.ones((2, 3)), "b": np.ones((2, 3))}, "b: got dimension 3, expected 2"),
        ({"a": np.ones((2, 0)), "b": np.ones((2, 2))}, "a: got dimension d = 0"),
        ({"a": np.ones(3), "b": np.ones((2, 2))}, "a: got an array of shape"),
        ({"a": np.ones((2, 3)), "b": [[1, 2], [np.nan, 3]]}, "b: NaN or infinite .* rows 10001;"),
        ({"a": [[1, 2, np.inf]], "b": [[1, 2]]}, "a: NaN or infinite features in rows 10000;"),
    ],
)
def test_bad_chunks_add_nothing(chunk, message):
    """A chunk that cannot be added is refused with what is wrong, and nothing of it is added."""
    moments = Moments({"a": 3, "b": 2})
    rows = {name: np.tile(array, (2, 1))[:10_000] for name, array in LONG.items()}
    moments.update(rows)
    with pytest.raises(InputError, match=message):
        moments.update(chunk)
    assert_moments_of(moments, rows, 1e-12)


def test_rows_may_have_numbers_of_their_own():
    """The row numbers given are the ones in the error."""
    moments = Moments({"a": 1})
    with pytest.raises(InputError, match="rows 905;"):
        moments.update({"a": [[1.0], [np.nan]]}, rows=np.array([17, 905]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_too_large_for_float32_are_refused(dtype):
    """Features whose float32 products would overflow are refused, and float64 takes them."""
    rows = LONG["a"][:4096].astype(dtype) * 1e19
    moments = Moments({"a": 3}, precision="float32")
    with pytest.raises(InputError, match="a: features are too large for float32 products; use"):
        moments.update({"a": rows})
    moments = Moments({"a": 3}, precision="float64")
    moments.update({"a": rows})
    assert_moments_of(moments, {"a": rows}, 1e-12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_features_too_large_for_anything_are_refused(precision):
    """Features near the end of float64 are refused without a warning or an infinity."""
    moments = Moments({"a": 3}, precision=precision)
    moments.update({"a": LONG["a"][:100] * 1e307})
    with pytest.raises(InputError, match=f"a: features are too large for {precision} products"):
        moments.mean("a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spaces": {}}, "expected one or more, each once"),
        ({"spaces": [Space("a", 1), Space("a", 2)]}, r"got spaces a, a"),
        ({"spaces": {"a": 2}, "precision": "half"}, "got precision 'half'"),
        ({"spaces": {"a": 2}, "origin": {"a": np.ones(3)}}, r"got an origin for a, expected"),
        ({"spaces": {"a": 2}, "origin": {"b": np.ones(2)}}, r"got an origin for b, expected"),
    ],
)
def test_moments_that_cannot_be_are_refused(arguments, message):
    """No spaces, a space twice, an unknown precision or an ill-shaped origin is refused."""
    with pytest.raises(InputError, match=message):
        Moments(**arguments)


def test_moments_of_other_spaces_do_not_merge():
    """Other spaces, another order of them, or another encoder's, are refused."""
    moments = Moments({"a": 2, "b": 1})
    with pytest.raises(InputError, match=r"got moments of a, expected a, b; use select"):
        moments + Moments({"a": 2})
    with pytest.raises(InputError, match="use select"):
        moments - Moments({"b": 1, "a": 2})
    with pytest.raises(SpaceMismatchError, match="got space a of dimension 3"):
        moments + Moments({"a": 3, "b": 1})
    with pytest.raises(SpaceMismatchError, match="fingerprint"):
        Moments([Space("a", 2, "x")]) + Moments([Space("a", 2, "y")])


# -- what they know of themselves -------------------------------------------------------------------


def test_a_row_is_never_counted_twice(tmp_path):
    """Moments know their rows through files, copies and sums, and refuse to add a row again."""
    first, other = moments_of(*make("tall")), moments_of(*make("tall"))
    first.rows, other.rows = [("set", 0, 200)], [("set", 200, 400)]
    first.save(tmp_path / "x")
    both = Moments.load(tmp_path / "x") + other
    assert both.copy().rows == [("set", 0, 400)]
    with pytest.raises(InputError, match="rows 0:200 of one feature set are in both moments"):
        both += first
    assert both.n == 400
    assert (both - other).rows == []


@pytest.mark.parametrize("begun", [100, 5000])
def test_moments_travel_between_processes(begun):
    """Pickled moments are the same numbers and go on where they stood."""
    half = {name: array[:begun] for name, array in LONG.items()}
    moments = Moments({"a": 3, "b": 2}, precision="float32")
    moments.update(half)
    there = pickle.loads(pickle.dumps(moments))  # noqa: S301 - made here
    for each in (moments, there):
        each.update({name: array[begun:] for name, array in LONG.items()})
    assert state(there) == state(moments)


def test_fast_moments_stay_marked(tmp_path, monkeypatch):
    """Moments of precision fast say so through sums and files, with the error they allow."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: ["AMX"])
    fast = moments_of(*make("tall"), precision="fast", fast_error=2.0**-16)
    assert (moments_of(*make("tall"), precision="float32") + fast).precision == "fast"
    fast.save(tmp_path / "x")
    loaded = Moments.load(tmp_path / "x")
    assert loaded.products == fast.products
    assert state(loaded) == state(fast)


@pytest.mark.parametrize(
    ("precision", "factor", "remedy"),
    [
        ("float64", 1e-160, "rescale them"),
        ("float64", 1e-150, "rescale them"),
        ("float32", 1e-160, "use precision float64"),
        ("float32", 1e-30, "use precision float64"),
        ("float32", 1e-20, "use precision float64"),
    ],
)
def test_features_whose_products_would_vanish_are_refused(precision, factor, remedy):
    """Features too small to multiply are refused, and a constant or dead space is not."""
    rows = np.random.default_rng(0).standard_normal((50, 3))
    moments = Moments({"a": 3}, precision=precision)
    moments.update({"a": rows * factor})
    with pytest.raises(InputError, match=f"features are too small for {precision} .*; {remedy}"):
        moments.scatter("a")
    constant = Moments({"a": 3, "b": 2}, precision=precision)
    constant.update({"a": np.full((50, 3), 0.1 * factor), "b": np.zeros((50, 2))})
    assert not constant.scatter("a", "b").any()
    assert not constant.scatter("a").any()


def test_a_constant_worked_out_in_several_ways_is_constant():
    """A feature that differs by the rounding of its own value has no spread; one that varies has."""
    rows = np.random.default_rng(0).standard_normal((200, 3))
    rows[:, 1] = 0.5 + np.where(rows[:, 1] > 0, 2**-53, 0)
    rows[:, 2] = 0.5 + 1e-12 * rows[:, 2]
    moments = Moments({"a": 3}, precision="float64")
    moments.update({"a": rows})
    assert (moments.scatter_diagonal("a") > 0).tolist() == [True, False, True]


@pytest.mark.parametrize("factor", [1e38, 1e150, 1e300])
def test_no_warning_of_numpys_reaches_the_terminal(factor):
    """Features beyond what products take are refused without a word of NumPy's."""
    rows = np.random.default_rng(0).standard_normal((300, 3)) * factor
    for precision in ("float32", "float64") if factor > 1e70 else ("float32",):
        moments = Moments({"a": 3}, precision=precision)
        for part in np.array_split(rows, 7):
            moments.update({"a": part})
        with pytest.raises(InputError, match=f"a: features are too large for {precision} products"):
            moments.scatter("a")
