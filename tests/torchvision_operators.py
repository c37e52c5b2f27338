"""Torchvision beside a torch of another build, in processes of tests."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import version


class OperatorDeclarer(MetaPathFinder):
    """Declares two operators before torchvision's first import, only where they are missing.

    Its own build of them does not load beside torch's builds for the CPU alone, which CI has, and
    its import then stops. No test calls them.
    """

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002
        """Find nothing, so that the import continues as usual."""
        if name == "torchvision":
            import torch

            apart = torch.__version__.endswith("+cpu") and "+" not in version("torchvision")
            if apart and not hasattr(torch.ops.torchvision, "nms"):
                self.library = torch.library.Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    self.library.define(
                        f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                    )


def declare_operators() -> None:
    """Add the declarer to this process, once."""
    if not any(isinstance(finder, OperatorDeclarer) for finder in sys.meta_path):
        sys.meta_path.insert(0, OperatorDeclarer())
