"""MobileFaceNet encoders, 128-d, run by torch on the CPU.

`mobilefacenet:FILE?OPTIONS`, FILE a `.pt` or `.safetensors` of weights named as in the package
facesdk. The features are the output of the last batch normalisation, of any norm.

face=, crop=, mean=, std= …   set by themselves to what the published network reads: the face
                              aligned to the ArcFace template at 112×112, RGB, pixel / 255 with the
                              means and deviations of ImageNet; face=none for aligned images
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.encoders.torch.encoder import open_weights
from intertwine.encoders.torch.weights import EXTRA
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri

SIZE = (112, 112)
DEFAULTS = {
    "face": "arcface",
    "scale": "1/255",
    "mean": "0.485,0.456,0.406",
    "std": "0.229,0.224,0.225",
}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a MobileFaceNet network; see `intertwine.encoders.registry.open_encoder`."""
    import_extra("torch", EXTRA)
    from intertwine.encoders.faces.nets.mobilefacenet import MobileFaceNet

    return open_weights(uri, MobileFaceNet, execution, defaults=DEFAULTS, fixed=SIZE)
