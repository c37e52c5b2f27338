"""What others take for the same maps: every array in memory, float32, as their users write it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scale.ours import ALPHAS
from scale.process import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDS = 5


def _load(folder: str, name: str) -> Any:
    return np.load(Path(folder) / f"{name}.npy").astype(np.float32, copy=False)


def _each_source(
    folder: str, spaces: list[str], fit: Callable[[Any, Any], object], *, sources: int | None = None
) -> dict[str, Any]:
    """Fit one source after another to all other spaces at once."""
    clock = Clock()
    clock.begin()
    rows = {name: _load(folder, name) for name in spaces}
    chosen = spaces[:sources]
    for number, source in enumerate(chosen, start=1):
        targets = np.hstack([rows[name] for name in spaces if name != source])
        fit(rows[source], targets)
        clock.done(number / len(chosen))
    return {"s": clock.seconds(), "sources": len(chosen)}


def sklearn_targets(folder: str, spaces: list[str]) -> dict[str, Any]:
    """scikit-learn's Ridge, all targets of a source at once."""
    from sklearn.linear_model import Ridge

    return _each_source(folder, spaces, lambda x, y: Ridge(alpha=1.0).fit(x, y))


def sklearn_pairs(folder: str, spaces: list[str]) -> dict[str, Any]:
    """scikit-learn's Ridge, one pair after another."""
    from sklearn.linear_model import Ridge

    clock = Clock()
    clock.begin()
    rows = {name: _load(folder, name) for name in spaces}
    pairs = [(a, b) for a in spaces for b in spaces if a != b]
    for number, (a, b) in enumerate(pairs, start=1):
        Ridge(alpha=1.0).fit(rows[a], rows[b])
        clock.done(number / len(pairs))
    return {"s": clock.seconds(), "maps": len(pairs)}


def himalaya_targets(folder: str, spaces: list[str]) -> dict[str, Any]:
    """Himalaya's Ridge, all targets of a source at once."""
    from himalaya.ridge import Ridge

    return _each_source(folder, spaces, lambda x, y: Ridge(alpha=1.0, fit_intercept=True).fit(x, y))


def torch_targets(folder: str, spaces: list[str]) -> dict[str, Any]:
    """Torch's lstsq (QR), a column of ones beside the features, all targets at once."""
    import torch

    def fit(x: Any, y: Any) -> object:
        ones = np.ones((len(x), 1), np.float32)
        return torch.linalg.lstsq(torch.from_numpy(np.hstack([x, ones])), torch.from_numpy(y))

    return _each_source(folder, spaces, fit)


def sklearn_path(folder: str, spaces: list[str], sources: int) -> dict[str, Any]:
    """scikit-learn's RidgeCV by generalised cross-validation, one λ a target."""
    from sklearn.linear_model import RidgeCV

    return _each_source(
        folder,
        spaces,
        lambda x, y: RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(x, y),
        sources=sources,
    )


def himalaya_path(folder: str, spaces: list[str], sources: int) -> dict[str, Any]:
    """Himalaya's RidgeCV over five folds, one λ a target."""
    from himalaya.ridge import RidgeCV

    return _each_source(
        folder,
        spaces,
        lambda x, y: RidgeCV(alphas=ALPHAS, cv=FOLDS, fit_intercept=True).fit(x, y),
        sources=sources,
    )
