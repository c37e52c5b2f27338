"""InceptionResnetV1 as FaceNet uses it, in torch, with the weight names of facenet-pytorch.

Szegedy, Ioffe, Vanhoucke & Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
Connections on Learning" (AAAI 2017), figures 14 to 18; the 512-d bottleneck, batch normalisation
after it and residual scales are those of the FaceNet project's networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-3

# A convolution: output channels, kernel, stride, padding.
Pair = int | tuple[int, int]
Conv = tuple[int, Pair, int, Pair]

_REDUCE_A: list[list[Conv]] = [
    [(384, 3, 2, 0)],
    [(192, 1, 1, 0), (192, 3, 1, 1), (256, 3, 2, 0)],
]
_REDUCE_B: list[list[Conv]] = [
    [(256, 1, 1, 0), (384, 3, 2, 0)],
    [(256, 1, 1, 0), (256, 3, 2, 0)],
    [(256, 1, 1, 0), (256, 3, 1, 1), (256, 3, 2, 0)],
]
_BLOCK_35: list[list[Conv]] = [
    [(32, 1, 1, 0)],
    [(32, 1, 1, 0), (32, 3, 1, 1)],
    [(32, 1, 1, 0), (32, 3, 1, 1), (32, 3, 1, 1)],
]
_BLOCK_17: list[list[Conv]] = [
    [(128, 1, 1, 0)],
    [(128, 1, 1, 0), (128, (1, 7), 1, (0, 3)), (128, (7, 1), 1, (3, 0))],
]
_BLOCK_8: list[list[Conv]] = [
    [(192, 1, 1, 0)],
    [(192, 1, 1, 0), (192, (1, 3), 1, (0, 1)), (192, (3, 1), 1, (1, 0))],
]


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, channels: int, conv: Conv) -> None:
        super().__init__()
        out, kernel, stride, padding = conv
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out, h', w') of (n, channels, h, w)."""
        return torch.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Chains of convolutions over one input, their outputs side by side as channels.

    A chain of one is no sequence: the weight names of the published files have it so.
    """

    def __init__(self, channels: int, chains: list[list[Conv]]) -> None:
        super().__init__()
        self.width = sum(chain[-1][0] for chain in chains)
        for index, chain in enumerate(chains):
            inputs = [channels, *(conv[0] for conv in chain)]
            layers = [ConvNormRelu(i, conv) for i, conv in zip(inputs, chain, strict=False)]
            chained = nn.Sequential(*layers) if len(layers) > 1 else layers[0]
            self.add_module(f"branch{index}", chained)

    def branches(self, x: Tensor) -> list[Tensor]:
        """Return the output of every chain."""
        return [child(x) for name, child in self.named_children() if name.startswith("branch")]


class Reduction(Branches):
    """Chains with stride 2 beside a max pooling: Reduction-A and Reduction-B."""

    def __init__(self, channels: int, chains: list[list[Conv]]) -> None:
        super().__init__(channels, chains)
        self.width += channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, width, h', w') of (n, channels, h, w)."""
        pooled = nn.functional.max_pool2d(x, 3, stride=2)
        return torch.cat([*self.branches(x), pooled], dim=1)


class Residual(Branches):
    """x + scale · (1×1 convolution of the chains), then ReLU unless it is the last block."""

    def __init__(
        self, channels: int, chains: list[list[Conv]], *, scale: float, relu: bool = True
    ) -> None:
        super().__init__(channels, chains)
        self.conv2d = nn.Conv2d(self.width, channels, kernel_size=1)
        self.scale, self.relu = scale, relu

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channels, h, w) of the same shape."""
        out = x + self.scale * self.conv2d(torch.cat(self.branches(x), dim=1))
        return torch.relu(out) if self.relu else out


class InceptionResnetV1(nn.Module):
    """From (n, 3, 160, 160) RGB, (pixel − 127.5) / 128, to features (n, 512), any norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = ConvNormRelu(3, (32, 3, 2, 0))
        self.conv2d_2a = ConvNormRelu(32, (32, 3, 1, 0))
        self.conv2d_2b = ConvNormRelu(32, (64, 3, 1, 1))
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = ConvNormRelu(64, (80, 1, 1, 0))
        self.conv2d_4a = ConvNormRelu(80, (192, 3, 1, 0))
        self.conv2d_4b = ConvNormRelu(192, (256, 3, 2, 0))
        self.repeat_1 = nn.Sequential(*(Residual(256, _BLOCK_35, scale=0.17) for _ in range(5)))
        self.mixed_6a = Reduction(256, _REDUCE_A)
        self.repeat_2 = nn.Sequential(*(Residual(896, _BLOCK_17, scale=0.10) for _ in range(10)))
        self.mixed_7a = Reduction(896, _REDUCE_B)
        self.repeat_3 = nn.Sequential(*(Residual(1792, _BLOCK_8, scale=0.20) for _ in range(5)))
        self.block8 = Residual(1792, _BLOCK_8, scale=1.0, relu=False)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last batch normalisation; the children run in their order."""
        for name, child in self.named_children():
            x = child(x.flatten(1) if name == "last_linear" else x)
        return x
