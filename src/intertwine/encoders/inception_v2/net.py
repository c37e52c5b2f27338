"""Inception-v2 (BN-Inception) as TF-slim builds it, in torch, with slim's layer names.

Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift" (ICML 2015), figure 5. Slim's network differs: its first convolution is separable
and has biases in place of a normalisation, and stages 4 and 5 are those of its own checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intertwine.encoders.torch.keras_layers import EPSILON, SameConv2d

FEATURES = 1024
# Class 0 is background.
CLASSES = 1001
STEM = "Conv2d_1a_7x7"
# Depthwise outputs of the first convolution for each colour.
_MULTIPLIER = 8

# A convolution: letter of its place in the branch, output channels, kernel.
Conv = tuple[str, int, int]


def _inception(*widths: int) -> list[list[Conv]]:
    """Return the branches 1×1, 3×3, double 3×3 and pooled of a block, from their widths."""
    one, three_in, three, double_in, double, pooled = widths
    return [
        [("0a", one, 1)],
        [("0a", three_in, 1), ("0b", three, 3)],
        [("0a", double_in, 1), ("0b", double, 3), ("0c", double, 3)],
        [("0b", pooled, 1)],
    ]


def _reduction(*widths: int) -> list[list[Conv]]:
    """Return the branches 3×3 and double 3×3, the last of each with stride 2."""
    three_in, three, double_in, double = widths
    return [
        [("0a", three_in, 1), ("1a", three, 3)],
        [("0a", double_in, 1), ("0b", double, 3), ("1a", double, 3)],
    ]


_BLOCKS = {
    "Mixed_3b": _inception(64, 64, 64, 64, 96, 32),
    "Mixed_3c": _inception(64, 64, 96, 64, 96, 64),
    "Mixed_4a": _reduction(128, 160, 64, 96),
    "Mixed_4b": _inception(224, 64, 96, 96, 128, 128),
    "Mixed_4c": _inception(192, 96, 128, 96, 128, 128),
    "Mixed_4d": _inception(160, 128, 160, 128, 160, 96),
    "Mixed_4e": _inception(96, 128, 192, 160, 192, 96),
    "Mixed_5a": _reduction(128, 192, 192, 256),
    "Mixed_5b": _inception(352, 192, 320, 160, 224, 128),
    "Mixed_5c": _inception(352, 192, 320, 192, 224, 128),
}
# The one block whose pooled branch takes the maximum.
_MAX_POOLED = "Mixed_5c"


class ShiftNorm(nn.BatchNorm2d):
    """Batch normalisation that shifts and does not scale, as slim's by default."""

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=EPSILON)
        del self.weight
        # A constant, so neither counted nor stored.
        self.register_buffer("weight", torch.ones(channels), persistent=False)


class ConvNormRelu(nn.Module):
    """Convolution without bias and with padding SAME, batch normalisation, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = SameConv2d(channels, out, kernel, stride, bias=False)
        self.norm = ShiftNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out, h', w') of (n, channels, h, w)."""
        return torch.relu(self.norm(self.conv(x)))


class SeparableRelu(nn.Module):
    """The first layer: a depthwise 7×7 with stride 2, a 1×1 with bias, ReLU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        inner = channels * _MULTIPLIER
        self.depthwise = SameConv2d(channels, inner, 7, 2, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(inner, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out, h', w') of (n, channels, h, w)."""
        return torch.relu(self.pointwise(self.depthwise(x)))


class Mixed(nn.Module):
    """Branches over one input, their outputs side by side as channels.

    Without a pooled branch of convolutions the input itself is pooled with stride 2.
    """

    def __init__(self, channels: int, chains: list[list[Conv]], *, average: bool) -> None:
        super().__init__()
        self.average, self.reduces = average, len(chains) == 2
        self.width = sum(chain[-1][1] for chain in chains) + channels * self.reduces
        for index, chain in enumerate(chains):
            branch, inputs = nn.Sequential(), channels
            for place, out, kernel in chain:
                layer = ConvNormRelu(inputs, out, kernel, 2 if place == "1a" else 1)
                branch.add_module(f"Conv2d_{place}_{kernel}x{kernel}", layer)
                inputs = out
            self.add_module(f"Branch_{index}", branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, width, h', w') of (n, channels, h, w)."""
        branches = list(self.children())
        if self.reduces:
            return torch.cat([*(branch(x) for branch in branches), _halve(x)], dim=1)
        if self.average:
            # Positions outside the image do not count.
            pooled = nn.functional.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
        else:
            pooled = nn.functional.max_pool2d(x, 3, 1, padding=1)
        *others, last = branches
        return torch.cat([*(branch(x) for branch in others), last(pooled)], dim=1)


def _halve(x: Tensor) -> Tensor:
    """Return the maxima of 3×3 positions with stride 2 and padding SAME, after a ReLU."""
    # An even size needs one more row, below; an odd size one on either side.
    top, left = (size % 2 for size in x.shape[2:])
    # Nothing is below 0, so zeros outside the image change no maximum.
    padded = nn.functional.pad(x, (left, 1, top, 1))
    return nn.functional.max_pool2d(padded, 3, 2)


class InceptionV2(nn.Module):
    """From (n, 3, h, w) RGB, (pixel − 127.5) / 127.5, to logits (n, 1001), by 1024 features.

    The features are the mean over all positions, which slim computes at 224×224.
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_module(STEM, SeparableRelu(3, 64))
        self.Conv2d_2b_1x1 = ConvNormRelu(64, 64, 1)
        self.Conv2d_2c_3x3 = ConvNormRelu(64, 192, 3)
        channels = 192
        for name, chains in _BLOCKS.items():
            block = Mixed(channels, chains, average=name != _MAX_POOLED)
            self.add_module(name, block)
            channels = block.width
        self.logits = nn.Linear(channels, CLASSES)
        for weight in self.parameters():
            if weight.ndim == 4:
                # As slim does; with torch's default the signal fades without trained statistics.
                nn.init.kaiming_normal_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images."""
        x = self.Conv2d_2b_1x1(_halve(self.get_submodule(STEM)(x)))
        x = _halve(self.Conv2d_2c_3x3(x))
        for name in _BLOCKS:
            x = self.get_submodule(name)(x)
        return self.logits(x.mean((2, 3)))
