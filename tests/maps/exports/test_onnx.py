import json

import onnx
import onnxruntime
import pytest
from tests.helpers import assert_close

from intertwine.maps.exports import save_onnx


@pytest.mark.parametrize("n", [1, 20])
def test_a_graph_maps_as_apply_does(tmp_path, linear_map, vectors, expected, unit, n):
    """The graph gives what `LinearMap.apply` gives, for any number of rows."""
    file = tmp_path / "map.onnx"
    save_onnx(linear_map, file, unit=unit)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (mapped,) = session.run(["mapped"], {"vectors": vectors[:n]})
    assert_close(mapped, expected[:n], 1e-6)


def test_a_graph_says_whose_vectors_it_takes(tmp_path, linear_map):
    """Both spaces stand in the graph's metadata."""
    save_onnx(linear_map, tmp_path / "map.onnx")
    facts = {p.key: json.loads(p.value) for p in onnx.load(tmp_path / "map.onnx").metadata_props}
    assert facts["source"] == linear_map.source.to_json()
    assert facts["target"] == linear_map.target.to_json()


def test_the_same_map_gives_the_same_bytes(tmp_path, linear_map):
    """A graph is written the same way each time."""
    for name in "ab":
        save_onnx(linear_map, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
