"""Layers as Keras computes them, where torch differs, and the output layer of arcface-tf2."""

from __future__ import annotations

from torch import Tensor, nn

EMBEDDING = 512
# Keras' default of batch normalisation; torch's is 1e-5.
EPSILON = 1e-3
# Positions left of a 112×112 image after five strides of 2.
POSITIONS = 4 * 4


class SameConv2d(nn.Conv2d):
    """A square convolution with the padding that Keras calls `same`.

    The output has ⌈size / stride⌉ positions; where the padding is odd the larger half lies on the
    right and below, so with stride 2 it differs from torch's symmetric padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out, ⌈h / stride⌉, ⌈w / stride⌉) of (n, channels, h, w)."""
        (height, width), kernel, stride = x.shape[2:], self.kernel_size[0], self.stride[0]
        top, bottom = _halves(height, kernel, stride)
        left, right = _halves(width, kernel, stride)
        return super().forward(nn.functional.pad(x, (left, right, top, bottom)))


def _halves(size: int, kernel: int, stride: int) -> tuple[int, int]:
    padding = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return padding // 2, padding - padding // 2


class ArcFaceOutput(nn.Module):
    """The output layer of arcface-tf2: normalise, flatten, project to 512, normalise.

    Its dropout does nothing at inference. Positions are flattened with the channels last, as Keras
    has them, so that a transposed Keras kernel is the weight of `dense`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_in = nn.BatchNorm2d(channels, eps=EPSILON)
        self.dense = nn.Linear(POSITIONS * channels, EMBEDDING)
        self.norm_out = nn.BatchNorm1d(EMBEDDING, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, 512) of a map (n, channels, 4, 4)."""
        flat = self.norm_in(x).permute(0, 2, 3, 1).flatten(1)
        return self.norm_out(self.dense(flat))
