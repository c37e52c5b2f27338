"""FaceNet encoders: InceptionResnetV1, 512-d, run by torch on the CPU.

`facenet:FILE?OPTIONS`, FILE a `.safetensors` or `.pt` of weights named as in facenet-pytorch's
`InceptionResnetV1(classify=False)`; a classifier `logits` in it is left out.

The features are the output of the last batch normalisation, of any norm: studies of faces put
vectors on the unit sphere when they load them. Schroff, Kalenichenko & Philbin, "FaceNet: A Unified
Embedding for Face Recognition and Clustering" (CVPR 2015).

face=, crop=, mean=, std= …   set by themselves to what the published networks were trained with:
                              the face's box with a margin of 32 pixels at 160×160, RGB,
                              (pixel − 127.5) / 128; face=none for images cut out already
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

DEFAULTS = {"face": "box:32", "crop": "160", "mean": "127.5", "std": "128"}


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a FaceNet network; see `intertwine.encoders.registry.open_encoder`."""
    import_extra("torch", EXTRA)
    from intertwine.encoders.faces.nets.inception_resnet_v1 import InceptionResnetV1

    return open_weights(uri, InceptionResnetV1, execution, defaults=DEFAULTS, dropped=("logits.",))
