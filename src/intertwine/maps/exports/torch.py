"""A map as a torch layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra
from intertwine.maps.exports.bridge import float32_weights

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap


def torch_linear(linear_map: LinearMap) -> Any:
    """Return a map as a `torch.nn.Linear` in float32, on the processor, without gradients.

    Parameters
    ----------
    linear_map
        The map.

    Raises
    ------
    InputError
        For weights beyond float32, and a map that scales its input to length 1, which a linear
        layer cannot.
    MissingExtraError
        Where torch is not installed.
    """
    linear_map.require_affine("a torch.nn.Linear")
    torch = import_extra("torch", "fast")
    weight, bias = map(torch.from_numpy, float32_weights(linear_map))
    layer = torch.nn.utils.skip_init(
        torch.nn.Linear, linear_map.source.dim, linear_map.target.dim, dtype=torch.float32
    )
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer.requires_grad_(requires_grad=False).eval()
