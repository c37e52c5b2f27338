"""MobileFaceNet in torch, with the weight names of the package facesdk.

Chen, Liu, Gao & Han, "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on
Mobile Devices" (CCBR 2018), table 1; ReLU where the paper has PReLU, as that package's network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Expansion, output channels, number of blocks, stride of the first.
_STAGES = [(2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)]


def _norm_relu6(channels: int, out: int, kernel: int, stride: int, groups: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU6())


class Separable(nn.Module):
    """Depthwise 3×3 and pointwise convolution, each with batch normalisation and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channels, h, w) of the same shape."""
        x = torch.relu(self.bn1(self.depthwise(x)))
        return torch.relu(self.bn2(self.pointwise(x)))


class Bottleneck(nn.Module):
    """Inverted residual block: expand, depthwise 3×3, project; added to its input where it fits."""

    def __init__(self, channels: int, out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.adds = stride == 1 and channels == out
        self.conv = nn.Sequential(
            _norm_relu6(channels, inner, 1, 1, 1),
            _norm_relu6(inner, inner, 3, stride, inner),
            nn.Conv2d(inner, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out, h', w') of (n, channels, h, w)."""
        y = self.conv(x)
        return x + y if self.adds else y


class GlobalDepthwise(nn.Module):
    """A 7×7 depthwise convolution over the whole map, and batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channels, 1, 1) of (n, channels, 7, 7)."""
        return self.bn(self.depthwise(x))


class MobileFaceNet(nn.Module):
    """From (n, 3, 112, 112) RGB, normalised as ImageNet's, to features (n, 128), any norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _norm_relu6(3, 64, 3, 2, 1)
        self.dw_conv = Separable(64)
        blocks, channels = [], 64
        for expansion, out, count, stride in _STAGES:
            for index in range(count):
                step = stride if index == 0 else 1
                blocks.append(Bottleneck(channels, out, stride=step, expansion=expansion))
                channels = out
        self.features = nn.Sequential(*blocks)
        self.conv2 = _norm_relu6(channels, 512, 1, 1, 1)
        self.gdconv = GlobalDepthwise(512)
        self.conv3 = nn.Conv2d(512, 128, 1)
        self.bn = nn.BatchNorm2d(128)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last batch normalisation; the children run in their order."""
        for child in self.children():
            x = child(x)
        return x.flatten(1)
