"""ResNet-50 with the output layer of arcface-tf2, in torch, with Keras' layer names.

He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1: version
1, normalisation and ReLU after each convolution, biases in the convolutions, and the stride of a
stage in the first 1×1 convolution, as `keras.applications.ResNet50` builds it. Deng, Guo, Xue &
Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from intertwine.encoders.torch.keras_layers import ArcFaceOutput

# Unlike Keras' default, so that ImageNet weights trained elsewhere gave the same results.
EPSILON = 1.001e-5
STEM, TOP = 64, 2048
# Inner channels, number of blocks, stride of the first; stages conv2 to conv5.
_STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
# Output channels of a block over its inner channels.
_EXPANSION = 4


class _Block(NamedTuple):
    """A bottleneck block; its layers' names begin with `prefix`."""

    prefix: str
    channels: int
    inner: int
    stride: int
    projects: bool


def _blocks() -> list[_Block]:
    blocks: list[_Block] = []
    channels = STEM
    for stage, (inner, count, stride) in enumerate(_STAGES, 2):
        for index in range(count):
            first = index == 0
            prefix = f"conv{stage}_block{index + 1}"
            blocks.append(_Block(prefix, channels, inner, stride if first else 1, first))
            channels = inner * _EXPANSION
    return blocks


BLOCKS = _blocks()


class ResNet50ArcFace(nn.Module):
    """From (n, 3, 112, 112) RGB, pixel / 255, to features (n, 512), any norm."""

    def __init__(self) -> None:
        super().__init__()
        self._add("conv1", nn.Conv2d(3, STEM, 7, 2, padding=3))
        for prefix, channels, inner, stride, projects in BLOCKS:
            out = inner * _EXPANSION
            if projects:
                self._add(f"{prefix}_0", nn.Conv2d(channels, out, 1, stride))
            self._add(f"{prefix}_1", nn.Conv2d(channels, inner, 1, stride))
            self._add(f"{prefix}_2", nn.Conv2d(inner, inner, 3, padding=1))
            self._add(f"{prefix}_3", nn.Conv2d(inner, out, 1))
        self.output = ArcFaceOutput(TOP)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last batch normalisation."""
        x = torch.relu(self._part("conv1", x))
        # Keras pads with zeros here, torch with −∞: the same after a ReLU.
        x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
        for block in BLOCKS:
            shortcut = self._part(f"{block.prefix}_0", x) if block.projects else x
            y = torch.relu(self._part(f"{block.prefix}_1", x))
            y = torch.relu(self._part(f"{block.prefix}_2", y))
            x = torch.relu(shortcut + self._part(f"{block.prefix}_3", y))
        return self.output(x)

    def _add(self, name: str, conv: nn.Conv2d) -> None:
        self.add_module(f"{name}_conv", conv)
        self.add_module(f"{name}_bn", nn.BatchNorm2d(conv.out_channels, eps=EPSILON))

    def _part(self, name: str, x: Tensor) -> Tensor:
        return getattr(self, f"{name}_bn")(getattr(self, f"{name}_conv")(x))
