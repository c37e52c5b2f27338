"""MobileNetV2 with the output layer of arcface-tf2, in torch, with Keras' layer names.

Sandler, Howard, Zhu, Zhmoginov & Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks"
(CVPR 2018), table 2, as `keras.applications` builds it at width 1; Deng, Guo, Xue & Zafeiriou,
"ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from intertwine.encoders.torch.keras_layers import EPSILON, ArcFaceOutput, SameConv2d

STEM, TOP = 32, 1280
# Expansion, output channels, number of blocks, stride of the first.
_STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class _Block(NamedTuple):
    """An inverted residual block; its layers' names begin with `prefix`."""

    prefix: str
    channels: int
    inner: int
    out: int
    stride: int


def _blocks() -> list[_Block]:
    blocks: list[_Block] = []
    channels = STEM
    for expansion, out, count, stride in _STAGES:
        for index in range(count):
            prefix = f"block_{len(blocks)}" if blocks else "expanded_conv"
            step = stride if index == 0 else 1
            blocks.append(_Block(prefix, channels, channels * expansion, out, step))
            channels = out
    return blocks


BLOCKS = _blocks()


class MobileNetV2ArcFace(nn.Module):
    """From (n, 3, 112, 112) RGB, pixel / 255, to features (n, 512), any norm."""

    def __init__(self) -> None:
        super().__init__()
        self._add("Conv1", "bn_Conv1", SameConv2d(3, STEM, 3, 2, bias=False))
        for prefix, channels, inner, out, stride in BLOCKS:
            if inner != channels:
                self._add_part(f"{prefix}_expand", nn.Conv2d(channels, inner, 1, bias=False))
            depthwise = SameConv2d(inner, inner, 3, stride, groups=inner, bias=False)
            self._add_part(f"{prefix}_depthwise", depthwise)
            self._add_part(f"{prefix}_project", nn.Conv2d(inner, out, 1, bias=False))
        self._add("Conv_1", "Conv_1_bn", nn.Conv2d(BLOCKS[-1].out, TOP, 1, bias=False))
        self.output = ArcFaceOutput(TOP)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last batch normalisation."""
        relu6 = nn.functional.relu6
        x = relu6(self.bn_Conv1(self.Conv1(x)))
        for prefix, channels, inner, out, stride in BLOCKS:
            y = relu6(self._part(f"{prefix}_expand", x)) if inner != channels else x
            y = relu6(self._part(f"{prefix}_depthwise", y))
            y = self._part(f"{prefix}_project", y)
            x = x + y if stride == 1 and channels == out else y
        return self.output(relu6(self.Conv_1_bn(self.Conv_1(x))))

    def _add(self, name: str, norm: str, conv: nn.Conv2d) -> None:
        self.add_module(name, conv)
        self.add_module(norm, nn.BatchNorm2d(conv.out_channels, eps=EPSILON))

    def _add_part(self, name: str, conv: nn.Conv2d) -> None:
        self._add(name, f"{name}_BN", conv)

    def _part(self, name: str, x: Tensor) -> Tensor:
        return getattr(self, f"{name}_BN")(getattr(self, name)(x))
