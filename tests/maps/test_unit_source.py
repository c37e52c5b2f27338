"""A map that scales its input to length 1: every way of applying it does so, or refuses by name."""

import json

import numpy as np
import pytest

from intertwine.errors import FileFormatError, InputError
from intertwine.maps.exports import (
    QueryBridge,
    faiss_transform,
    pgvector_sql,
    save_onnx,
    torch_linear,
)
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair, load_map
from intertwine.maps.source_check import check_source
from intertwine.numerics.linalg import unit
from intertwine.passes.apply import apply_file
from intertwine.spaces import Space
from intertwine.storage.files import read_header, read_tensors

D, K = 6, 4
A, B = Space("a", D), Space("b", K)


@pytest.fixture
def scaling():
    """Return such a map."""
    rng = np.random.default_rng(0)
    return LinearMap(
        rng.standard_normal((K, D)), rng.standard_normal(K), A, B, "by hand", unit_source=True
    )


@pytest.fixture
def rows():
    """Return vectors of many lengths."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((50, D)) * np.exp(3 * rng.standard_normal((50, 1)))


def expected(fitted, rows):
    """Return what the map is to give."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ fitted.weight.T + fitted.bias


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_apply_scales_first(scaling, rows, dtype):
    """Rows of any type and length are scaled, their squares never overflowing."""
    given = rows.astype(dtype)
    tolerance = {"float16": 1e-5, "float32": 1e-5, "float64": 1e-13}[dtype]
    np.testing.assert_allclose(
        scaling.apply(given), expected(scaling, given.astype(np.float64)), atol=tolerance
    )
    if dtype == "float32":
        huge = (1e30 * rows).astype(dtype)
        np.testing.assert_allclose(scaling.apply(huge), expected(scaling, rows), atol=1e-5)


def test_a_zero_vector_stays_zero_and_nan_is_refused(scaling):
    """A vector without a direction is mapped to the bias; NaN and infinity are no vectors."""
    np.testing.assert_allclose(scaling.apply(np.zeros((2, D))), [scaling.bias] * 2)
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="input of map a--b"):
            scaling.apply(np.full((1, D), value))


def test_the_file_keeps_it_and_is_of_a_kind_of_its_own(scaling, rows, tmp_path):
    """Read back it scales; a program that reads plain maps only refuses it; plain files are as before."""
    scaling.save(tmp_path / "m.safetensors")
    for back in (LinearMap.load(tmp_path / "m.safetensors"), load_map(tmp_path / "m.safetensors")):
        np.testing.assert_array_equal(back.apply(rows), scaling.apply(rows))
    with pytest.raises(FileFormatError, match="holds a map of directions, expected a map"):
        read_tensors(tmp_path / "m.safetensors", kind="map")
    plain = LinearMap(scaling.weight, scaling.bias, A, B, "by hand")
    plain.save(tmp_path / "plain.safetensors")
    header = read_header(tmp_path / "plain.safetensors")
    assert header["kind"] == "map"
    assert "unit_source" not in json.dumps(header)
    assert not LinearMap.load(tmp_path / "plain.safetensors").unit_source


def test_a_file_of_vectors_is_scaled(scaling, rows, tmp_path):
    """`apply` gives what the map gives."""
    scaling.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "rows.npy", rows)
    apply_file(tmp_path / "m.safetensors", tmp_path / "rows.npy", tmp_path / "out.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected(scaling, rows), atol=1e-12)


def test_exports_scale_first(scaling, rows, tmp_path):
    """Queries, scikit-learn, FAISS, ONNX and SQL get the scaling with the map."""
    from intertwine.maps.exports.sklearn import MapTransformer

    right = expected(scaling, rows)
    near = {"atol": 1e-5}
    bridge = QueryBridge(scaling)
    np.testing.assert_allclose(bridge(rows), right, **near)
    np.testing.assert_allclose(bridge(rows[0]), right[0], **near)
    np.testing.assert_allclose(QueryBridge(scaling, unit=True)(rows), unit(right), **near)
    with pytest.raises(InputError, match="a query is zero"):
        bridge(np.zeros(D))
    np.testing.assert_allclose(MapTransformer(scaling).fit_transform(rows), right, **near)
    found = np.ascontiguousarray(rows, np.float32)
    for step in faiss_transform(scaling):
        found = step.apply(found)
    np.testing.assert_allclose(found, right, **near)
    import onnxruntime

    save_onnx(scaling, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (mapped,) = session.run(None, {"vectors": rows.astype(np.float32)})
    np.testing.assert_allclose(mapped, right, **near)
    assert "<#> l2_normalize($1)" in list(pgvector_sql(scaling, "f"))[-1]


def test_what_needs_an_affine_map_refuses_by_name(scaling):
    """An inverse, a composition after another, a pair and a linear layer cannot scale."""
    first = LinearMap(np.eye(D), np.zeros(D), Space("z", D), A, "by hand")
    after = LinearMap(np.eye(K), np.zeros(K), B, Space("c", K), "by hand")
    for use, said in (
        (scaling.inverse, "an inverse"),
        (lambda: scaling.compose(first), "a composition after another map"),
        (lambda: torch_linear(scaling), "a torch.nn.Linear"),
        (lambda: MapPair(scaling, after), "a pair of maps"),
    ):
        with pytest.raises(InputError, match=f"map a--b: scales vectors to length 1.*{said}"):
            use()
    both = after.compose(scaling)
    assert both.unit_source


def test_the_source_is_recognised_by_directions(scaling):
    """Vectors of other lengths are of the map's source, whose statistics are of scaled ones."""
    from dataclasses import replace

    rng = np.random.default_rng(3)
    rows = rng.standard_normal((200, D)) + 2
    scaled = unit(rows)
    known = replace(scaling, source_mean=scaled.mean(axis=0), source_spread=scaled.std(axis=0))
    assert check_source(known, 1e4 * rows).passed
