"""Made-up people for verification tests, and a slow, independent reading of the open-set study."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from tests.conftest import save_folder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Faces:
    """People seen through several networks of one cause, with pairs in folds of disjoint people."""

    dims: dict[str, int]
    n_folds: int = 4
    people: int = 12
    images: int = 3
    per_kind: int = 15
    noise: float = 0.5
    seed: int = 0
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 7])
        names = [f"Person_{i:02d}" for i in range(self.n_folds * self.people)]
        self.person = np.repeat(np.arange(len(names)), self.images)
        self.ids = [f"{names[p]}_{i % self.images + 1:04d}" for i, p in enumerate(self.person)]
        cause = rng.standard_normal((len(names), 8))[self.person]
        cause = cause + self.noise * rng.standard_normal(cause.shape)
        self.features = {
            name: (
                np.tanh(cause @ rng.standard_normal((8, dim)))
                + 0.1 * rng.standard_normal((len(cause), dim))
                + 0.3
            )
            * rng.uniform(0.5, 20, (len(cause), 1))
            for name, dim in self.dims.items()
        }
        self.pairs = [self._pair(rng, f, k < self.per_kind) for f in range(self.n_folds)
                      for k in range(2 * self.per_kind)]  # fmt: skip

    def _pair(self, rng, fold: int, same: bool) -> tuple[int, int, bool, int]:
        """Return rows of two images of a fold's people, same or not."""
        first, second = rng.choice(self.people, 2, replace=False) + fold * self.people
        i, j = rng.choice(self.images, 2, replace=False)
        second = first if same else second
        return first * self.images + i, second * self.images + j, same, fold

    def official(self, path: Path) -> Path:
        """Write the pairs in the official form."""
        lines = [f"{self.n_folds}\t{self.per_kind}"]
        for i, j, same, _ in self.pairs:
            (a, x), (b, y) = (self.ids[k].rsplit("_", 1) for k in (i, j))
            lines.append("\t".join([a, str(int(x)), *([] if same else [b]), str(int(y))]))
        path.write_text("\n".join(lines) + "\n")
        return path

    def csv(self, path: Path, *, header: bool = False) -> Path:
        """Write the pairs as a CSV."""
        lines = ["first,second,same,fold"] * header
        lines += [f"{self.ids[i]},{self.ids[j]},{int(s)},{f + 1}" for i, j, s, f in self.pairs]
        path.write_text("\n".join(lines) + "\n")
        return path

    def folder(self, path: Path, **more) -> Path:
        """Write the feature set, rows in another order than the pairs name them."""
        order = np.random.default_rng(self.seed).permutation(len(self.ids))
        features = {name: array[order].astype(np.float32) for name, array in self.features.items()}
        ids = [f"some/folder/{self.ids[i]}.jpg" for i in order]
        return save_folder(path, features, ids=ids, **more)


def naive_threshold(scores, same):
    """Return the threshold rule, one candidate after another."""
    ordered = sorted(scores)
    best, chosen = -1, None
    for a, b in itertools.pairwise(ordered):
        middle = (a + b) / 2
        right = sum((s > middle) == y for s, y in zip(scores, same, strict=True))
        if right >= best:
            best, chosen = right, middle
    return chosen


def naive_open_set(faces: Faces, fit: str, source: str, target: str, *, alpha=1.0, free=False):
    """Return the accuracy of each fold, every map fitted from scratch by scikit-learn."""
    from sklearn.linear_model import Ridge

    def unit(array):
        array = array.astype(np.float32).astype(np.float64)
        return array / np.linalg.norm(array, axis=1, keepdims=True)

    a, b = unit(faces.features[source]), unit(faces.features[target])
    first, second = (np.array([pair[k] for pair in faces.pairs]) for k in (0, 1))
    same, fold = (np.array([pair[k] for pair in faces.pairs]) for k in (2, 3))
    accuracies = []
    for k in range(faces.n_folds):
        train = fold != k
        if source == target:
            mapped = a
        elif fit == "none":
            mapped = np.zeros((len(a), b.shape[1]))
            width = min(a.shape[1], b.shape[1])
            mapped[:, :width] = a[:, :width]
        else:
            if fit == "matched-pairs":
                x, y = a[first[train & same]], b[second[train & same]]
            else:
                rows = np.unique(np.concatenate([first[train], second[train]]))
                held = set(faces.person[np.concatenate([first[~train], second[~train]])])
                rows = np.array([r for r in rows if faces.person[r] not in held])
                x, y = a[rows], b[rows]
            mapped = Ridge(alpha=alpha, fit_intercept=free).fit(x, y).predict(a)
        scores = np.array(
            [
                mapped[i] @ b[j] / np.linalg.norm(mapped[i])
                for i, j in zip(first, second, strict=True)
            ]
        )
        threshold = naive_threshold(scores[train], same[train])
        accuracies.append(float(np.mean((scores[~train] > threshold) == same[~train])))
    return accuracies
