from tests.helpers import assert_close

from intertwine.maps.exports import torch_linear


def test_a_layer_maps_as_apply_does(linear_map, vectors):
    """The layer gives what `LinearMap.apply` gives, in float32, and learns nothing."""
    import torch

    layer = torch_linear(linear_map)
    assert isinstance(layer, torch.nn.Linear)
    assert_close(layer(torch.from_numpy(vectors)).numpy(), linear_map.apply(vectors), 1e-6)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
