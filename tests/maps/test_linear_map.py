import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module

import numpy as np
import pytest
from safetensors import safe_open
from tests.helpers import assert_close, assert_refuses_damage, make, moments_of

from intertwine.errors import FileFormatError, InputError, SpaceMismatchError
from intertwine.estimators import reduced_rank, ridge
from intertwine.maps.linear_map import CHUNK_ROWS, LinearMap
from intertwine.numerics.arrays import to_numpy
from intertwine.spaces import Space
from intertwine.storage.files import read_tensors, write_tensors

RNG = np.random.default_rng(0)
A, B, C = Space("a", 5), Space("b", 3), Space("c", 4)


def random_map(source: Space, target: Space, **facts) -> LinearMap:
    """Return a map with random weight and bias."""
    weight = RNG.standard_normal((target.dim, source.dim))
    return LinearMap(weight, RNG.standard_normal(target.dim), source, target, "random", **facts)


MAP = random_map(
    A, B, info={"alpha": 1e-05, "n": 7}, source_mean=np.arange(5.0), source_spread=np.ones(5)
)


# -- apply ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 17, CHUNK_ROWS, 2 * CHUNK_ROWS + 3])
@pytest.mark.parametrize(
    ("dtype", "out_dtype", "tolerance"),
    [
        (np.float64, np.float64, 1e-14),
        (np.float32, np.float32, 1e-6),
        (np.float16, np.float32, 1e-6),
    ],
)
def test_apply_is_weight_times_row_plus_bias(n, dtype, out_dtype, tolerance):
    """Every row is mapped to weight times row plus bias, in the features' precision."""
    features = RNG.standard_normal((n, 5)).astype(dtype)
    mapped = MAP.apply(features)
    assert mapped.dtype == out_dtype
    naive = np.array([MAP.weight @ x + MAP.bias for x in features.astype(np.float64)])
    assert_close(mapped, naive.reshape(n, 3), tolerance)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_apply_fills_an_array(dtype):
    """Mapped features go into `out`, in its dtype, and it is what comes back."""
    features = RNG.standard_normal((9, 5))
    out = np.full((9, 3), np.nan, dtype)
    assert MAP.apply(features, out=out) is out
    assert np.array_equal(out, MAP.apply(features).astype(dtype))


def test_apply_may_overwrite_its_input():
    """Where the dimensions agree, features may be mapped in place."""
    square = random_map(A, replace(A, name="z"))
    features = RNG.standard_normal((CHUNK_ROWS + 5, 5))
    expected = square.apply(features)
    assert np.array_equal(square.apply(features, out=features), expected)


def test_chunks_and_layouts_change_nothing_that_counts():
    """Rows mapped in parts, or from a strided array, are those mapped at once."""
    features = RNG.standard_normal((50, 10))[:, ::2]
    whole = MAP.apply(np.asfortranarray(features))
    parts = np.vstack([MAP.apply(features[:13]), MAP.apply(features[13:])])
    assert_close(parts, whole, 1e-14)


def test_apply_takes_lists():
    """A nested list is features too, and is mapped to a NumPy array."""
    features = RNG.standard_normal((4, 5))
    mapped = MAP.apply(features.tolist())
    assert isinstance(mapped, np.ndarray)
    assert np.array_equal(mapped, MAP.apply(features))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_apply_returns_a_tensor_for_a_tensor(dtype):
    """A tensor is mapped to a tensor on its device, with the numbers of the NumPy array."""
    import torch

    features = torch.from_numpy(RNG.standard_normal((7, 5)))
    features = features.to(getattr(torch, dtype)).requires_grad_()
    mapped = MAP.apply(features)
    assert isinstance(mapped, torch.Tensor)
    assert mapped.device == features.device
    assert not mapped.requires_grad
    expected = MAP.apply(to_numpy(features))
    assert mapped.dtype == torch.from_numpy(expected).dtype
    assert np.array_equal(mapped.numpy(), expected)


def test_apply_returns_a_table_for_a_table():
    """A data frame keeps its index and has columns named after the target."""
    import pandas as pd
    import polars as pl

    features = RNG.standard_normal((3, 5))
    table = pd.DataFrame(features, index=["u", "v", "w"])
    mapped = MAP.apply(table)
    assert list(mapped.index) == ["u", "v", "w"]
    of_polars = MAP.apply(pl.DataFrame(features))
    assert isinstance(of_polars, pl.DataFrame)
    for each in (mapped, of_polars):
        assert list(each.columns) == ["b_0", "b_1", "b_2"]
        assert np.array_equal(each.to_numpy(), MAP.apply(features))


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("numpy", "asarray"),
        ("torch", "from_numpy"),
        ("builtins", "list"),
        ("pandas", "Series"),
        ("polars", "Series"),
    ],
)
def test_apply_maps_one_vector(library, name):
    """A vector is mapped to a vector, as the row of an array of it."""
    convert = getattr(import_module(library), name)
    vector = RNG.standard_normal(5)
    mapped = MAP(convert(vector))
    assert mapped.shape == (3,)
    assert type(mapped).__module__ == ("torch" if library == "torch" else "numpy")
    assert np.array_equal(mapped, MAP.apply(vector[None])[0])
    out = np.empty(3)
    assert MAP.apply(convert(vector), out=out) is out
    assert np.array_equal(out, mapped)


def test_score_is_scikit_learns():
    """R² is scikit-learn's, weighted by variance."""
    import torch
    from sklearn.metrics import r2_score

    features, targets = RNG.standard_normal((40, 5)), RNG.standard_normal((40, 3))
    expected = r2_score(targets, MAP(features), multioutput="variance_weighted")
    assert MAP.score(features, targets) == pytest.approx(expected)
    assert MAP.score(torch.from_numpy(features), targets.tolist()) == pytest.approx(expected)
    assert MAP.score(features, MAP(features)) == 1


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (np.ones((4, 5)), np.ones((4, 3)), "targets of map a--b: do not vary over 4 rows"),
        (np.ones((4, 5)), np.ones((4, 2)), "targets of map a--b: got dimension 2, expected 3"),
        (np.ones((4, 5)), np.eye(3), "got features has 4 rows, targets has 3 rows"),
        (np.ones((3, 5)), np.full((3, 3), np.nan), "targets of map a--b: NaN or infinite"),
    ],
)
def test_score_refuses_what_has_no_r2(features, targets, message):
    """Targets of another shape, with NaN, or that do not vary have no R²."""
    with pytest.raises(InputError, match=message):
        MAP.score(features, targets)


def test_repr_holds_no_numbers_of_the_map():
    """A map shows its spaces, method and what is known of its fit in one line."""
    assert repr(MAP) == "<LinearMap a (5) → b (3): random, λ 1e−05, n 7>"
    known = MAP.with_info(r2=0.5, r2_null=-0.25, alpha_min=1e-6, alpha_max=0.1)
    assert repr(known).endswith(
        "λ 1e−05 (1e−06 to 0.1), n 7, R² held out 0.500 (shuffled rows −0.250)>"
    )
    assert repr(random_map(A, B)) == "<LinearMap a (5) → b (3): random>"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((2, 4)), "input of map a--b: got dimension 4, expected 5"),
        (np.ones(4), "input of map a--b: got dimension 4, expected 5"),
        (np.ones((1, 2, 5)), r"input of map a--b: got an array of shape \(1, 2, 5\)"),
        ([[1, 2, np.nan, 4, 5]], "input of map a--b: NaN or infinite features in rows 40;"),
    ],
)
def test_apply_refuses_what_it_cannot_map(features, message):
    """Vectors of another dimension, and rows with NaN, are refused."""
    with pytest.raises(InputError, match=message):
        MAP.apply(features, first_row=40)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((2, 4)), r"got out of shape \(2, 4\), expected \(2, 3\)"),
        (np.empty((3, 3)), r"got out of shape \(3, 3\), expected \(2, 3\)"),
        (np.empty((2, 3), np.int64), "got out of dtype int64, expected a floating-point one"),
    ],
)
def test_apply_refuses_an_array_that_does_not_fit(out, message):
    """An `out` of another shape, or of whole numbers, is refused."""
    with pytest.raises(InputError, match=message):
        MAP.apply(np.ones((2, 5)), out=out)


@pytest.mark.parametrize(
    ("dtype", "out_dtype", "size"),
    [
        (np.float64, np.float16, 1e6),
        (np.float64, np.float32, 1e40),
        (np.float32, np.float32, 1e38),
        (np.float64, np.float64, 1e308),
    ],
)
def test_numbers_that_do_not_fit_are_refused(dtype, out_dtype, size):
    """Mapped features too large for the dtype are refused by row, without a warning."""
    features = np.ones((CHUNK_ROWS + 2, 5), dtype)
    features[-1] = size
    large = replace(MAP, weight=np.full((3, 5), 10.0))
    with pytest.raises(
        InputError, match=rf"output of map a--b in {np.dtype(out_dtype)}: .* rows {CHUNK_ROWS + 1};"
    ):
        large.apply(features, out=np.empty((CHUNK_ROWS + 2, 3), out_dtype))


# -- making -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.ones((3, 4))}, r"map a--b: got weight \(3, 4\) and bias \(3,\), expected"),
        ({"bias": np.ones(4)}, r"map a--b: got weight \(3, 5\) and bias \(4,\), expected"),
        ({"weight": np.full((3, 5), np.nan)}, "map a--b: NaN or infinite weights"),
        ({"bias": np.full(3, np.inf)}, "map a--b: NaN or infinite weights"),
    ],
)
def test_maps_that_cannot_be_are_refused(changes, message):
    """Weights that do not lead from source to target, or are not finite, are refused."""
    with pytest.raises(InputError, match=message):
        replace(MAP, **changes)


def test_facts_are_added_to_a_copy():
    """`with_info` adds facts and leaves the map as it was."""
    assert MAP.with_info(alpha=2, k=1).info == {"alpha": 2, "n": 7, "k": 1}
    assert MAP.info == {"alpha": 1e-05, "n": 7}


# -- algebra ----------------------------------------------------------------------------------------


def test_composition_is_one_map_after_another():
    """The composed map does what its parts do one after another, in any grouping."""
    f, g, h = MAP, random_map(B, C), random_map(C, Space("d", 2))
    features = RNG.standard_normal((20, 5))
    assert_close(g.compose(f).apply(features), g.apply(f.apply(features)), 1e-13)
    left, right = h.compose(g).compose(f), h.compose(g.compose(f))
    assert_close(left.weight, right.weight, 1e-13)
    assert_close(left.bias, right.bias, 1e-13)
    assert (left.source, left.target) == (A, Space("d", 2))
    assert left.source_mean is MAP.source_mean


def test_composition_needs_the_same_space_between():
    """Maps that do not meet in one space, or in one encoder's, are refused."""
    with pytest.raises(SpaceMismatchError, match="got space b of dimension 3, expected a"):
        MAP.compose(MAP)
    with pytest.raises(SpaceMismatchError, match="fingerprint"):
        random_map(Space("b", 3, "x"), C).compose(random_map(A, Space("b", 3, "y")))


def test_a_map_backwards_is_refused():
    """A map composed backwards is refused even where the dimensions agree."""
    there = random_map(Space("x", 4), Space("y", 4))
    with pytest.raises(SpaceMismatchError, match="got space y of dimension 4, expected x"):
        there.compose(there)


def test_the_inverse_of_a_square_map_is_exact():
    """There and back again is where one was, in both orders."""
    there = random_map(A, Space("z", 5), source_mean=np.ones(5))
    features = RNG.standard_normal((30, 5))
    assert_close(there.inverse().apply(there.apply(features)), features, 1e-11)
    assert_close(there.apply(there.inverse().apply(features)), features, 1e-11)
    assert_close(there.inverse().inverse().weight, there.weight, 1e-11)


def test_the_inverse_of_an_embedding_undoes_it():
    """A map into more dimensions is undone exactly."""
    there = random_map(B, A)
    features = RNG.standard_normal((30, 3))
    assert_close(there.inverse().apply(there.apply(features)), features, 1e-12)


@pytest.mark.parametrize("mean", [None, np.array([3.0, -2.0, 0.5, 1.0, 9.0])])
def test_the_inverse_of_a_projection_is_the_nearest(mean):
    """Where many x lead to one y, the inverse gives the one nearest the source's mean."""
    there = replace(MAP, source_mean=mean)
    images = RNG.standard_normal((20, 3))
    back = there.inverse().apply(images)
    assert_close(there.apply(back), images, 1e-11)
    null = np.linalg.svd(there.weight)[2][3:]
    assert np.abs((back - (0 if mean is None else mean)) @ null.T).max() < 1e-11


@pytest.mark.parametrize("n", [40, 400])
def test_the_inverse_of_a_low_rank_map_stays_small(n):
    """Directions that a map drops, up to rounding, are not blown up on the way back."""
    a = RNG.standard_normal((n, 200))
    there = reduced_rank(moments_of(a, a + 1), "a", ["b"], rank=10)["b"]
    # As after a few compositions, or in a few thousand dimensions.
    roundings = 1 + 20 * np.finfo(float).eps * RNG.standard_normal(there.weight.shape)
    there = replace(there, weight=there.weight * roundings)
    values = np.linalg.svd(there.weight, compute_uv=False)
    assert np.linalg.norm(there.inverse().weight, 2) == pytest.approx(1 / values[9], rel=1e-6)


def test_the_inverse_knows_what_it_expects():
    """The inverse's source statistics are those of the mapped features."""
    a, b = make("tall")
    whitened = (a - a.mean(axis=0)) @ np.linalg.qr(RNG.standard_normal((12, 12)))[0]
    whitened = np.linalg.svd(whitened, full_matrices=False)[0]
    there = ridge(moments_of(whitened, b), "a", ["b"])["b"]
    mapped, back = there.apply(whitened), there.inverse()
    assert_close(back.source_mean, mapped.mean(axis=0), 1e-12)
    assert_close(back.source_spread, mapped.std(axis=0), 1e-12)
    assert replace(there, source_mean=None).inverse().source_mean is None


# -- files ------------------------------------------------------------------------------------------


def test_maps_come_back(tmp_path):
    """A map read from its file is the same, with its facts and the date."""
    path = tmp_path / "a--b.safetensors"
    assert f"{MAP.name}.safetensors" == path.name
    MAP.save(path, created=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    loaded = LinearMap.load(path)
    for field in ("weight", "bias", "source_mean", "source_spread"):
        assert np.array_equal(getattr(loaded, field), getattr(MAP, field))
    assert (loaded.source, loaded.target, loaded.method) == (A, B, "random")
    assert loaded.info == {**MAP.info, "created": "2024-05-06T07:08:09+00:00"}


def test_maps_without_statistics_come_back(tmp_path):
    """What is unknown of the source stays unknown."""
    bare = random_map(A, B)
    bare.save(tmp_path / "x")
    assert LinearMap.load(tmp_path / "x").source_mean is None


def test_marks_of_the_rows_come_back(tmp_path):
    """By what fit rows are recognised comes back, and is no part of the header where it is unknown."""
    marks = {"rows": 900, "ids": ["00ff"], "features": ["12ab"]}
    replace(MAP, fitted_on=marks).save(tmp_path / "x")
    assert LinearMap.load(tmp_path / "x").fitted_on == marks
    MAP.save(tmp_path / "y")
    assert LinearMap.load(tmp_path / "y").fitted_on is None
    assert "fitted_on" not in MAP.header()
    replace(MAP, fitted_on={"rows": 900, "ids": [1], "features": []}).save(tmp_path / "z")
    with pytest.raises(FileFormatError, match=r"fitted_on.ids is \[1\], expected"):
        LinearMap.load(tmp_path / "z")


def test_the_same_map_gives_the_same_bytes(tmp_path):
    """A map saved twice with one date gives one file; the date is now when none is given."""
    date = datetime(2024, 5, 6, tzinfo=UTC)
    for name in "xy":
        MAP.save(tmp_path / name, created=date)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    before = datetime.now(UTC).replace(microsecond=0)
    MAP.save(tmp_path / "x")
    created = LinearMap.load(tmp_path / "x").info["created"]
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC)


def test_the_header_is_readable_with_plain_safetensors(tmp_path):
    """Any safetensors reader shows version, spaces with fingerprints, method, λ, n and date."""
    replace(MAP, source=Space("a", 5, "f" * 64)).save(tmp_path / "x")
    with safe_open(tmp_path / "x", framework="numpy") as file:
        header = json.loads(file.metadata()["intertwine"])
        assert sorted(file.keys()) == ["bias", "source_mean", "source_spread", "weight"]
    assert header["source"] == {"name": "a", "dim": 5, "fingerprint": "f" * 64}
    assert header["target"]["name"] == "b"
    assert (header["method"], header["info"]) == ("random", {"alpha": 1e-05, "n": 7})
    assert {"kind", "format_version", "created", "sha256"} <= set(header)


@pytest.mark.slow
def test_damaged_files_are_refused(tmp_path):
    """A map's file with any bit flipped, or cut, is a format error of one line."""
    MAP.save(tmp_path / "x")
    assert_refuses_damage(tmp_path / "x", LinearMap.load)


@pytest.mark.parametrize("missing", ["weight", "bias", "source", "method", "info"])
def test_files_that_lack_a_part_are_refused(tmp_path, missing):
    """A file without a part that every map has is refused by the part's name."""
    tensors = {name: array for name, array in MAP.tensors().items() if name != missing}
    header = {name: value for name, value in MAP.header().items() if name != missing}
    write_tensors(tmp_path / "x", tensors, kind="map", header=header)
    with pytest.raises(FileFormatError, match=f"x: holds no '{missing}'"):
        LinearMap.load(tmp_path / "x")


def test_files_of_other_things_are_refused(tmp_path):
    """Moments are no map."""
    moments_of(*make("two rows")).save(tmp_path / "x")
    with pytest.raises(FileFormatError, match="x: holds a moments, expected a map"):
        LinearMap.load(tmp_path / "x")
    assert read_tensors(tmp_path / "x", kind="moments")
