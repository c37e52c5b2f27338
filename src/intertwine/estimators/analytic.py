"""The analytic map, from the weights of two classifiers alone.

Affine: M = W_B⁺ W_A, b = W_B⁺(b_A − b_B), exact (the same predictions as A) when rank W_B = K.
Homogeneous, the paper's: [W_B b_B]⁺ [W_A b_A], scored with its last coordinate kept, which is not 1,
so it is no affine map; exact when rank [W_B b_B] = K. McNeely-White, Sattelberg, Blanchard &
Beveridge, *Exploring the Interchangeability of CNN Embedding Spaces*, arXiv 2010.02323 (2020).

It uses no data. That it keeps A's accuracy is therefore no evidence of how alike A and B are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.numerics.linalg import svd
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head, Space

FORMS = ("affine", "homogeneous")


@dataclass(frozen=True)
class HeadFactor:
    """Singular value decomposition of a target's head, for every source.

    The form `affine` factors W, `homogeneous` factors [W b].
    """

    head: Head
    form: str
    left: Array
    values: Array
    right: Array

    @classmethod
    def of(cls, head: Head, form: str = "affine") -> HeadFactor:
        """Factor a head, or raise InputError for an unknown form."""
        if form not in FORMS:
            raise InputError(f"got form {form!r}, expected one of {', '.join(FORMS)}")
        matrix = np.asarray(head.weight, np.float64)
        if form == "homogeneous":
            matrix = np.column_stack([matrix, np.asarray(head.bias, np.float64)])
        left, values, right = svd(matrix)
        cut = max(matrix.shape) * np.finfo(np.float64).eps * values.max(initial=0.0)
        rank = int((values > cut).sum())
        return cls(head, form, left[:, :rank], values[:rank], right[:rank])

    @property
    def rank(self) -> int:
        """Numerical rank of the factored matrix."""
        return len(self.values)

    def solve(self, logits: Array) -> Array:
        """Return the least-norm features (d or d + 1, …) whose logits are these, (K, …)."""
        solved = self.left.T @ logits
        solved = (solved.T / self.values).T
        return np.asarray(self.right.T @ solved)

    def scores(self, logits: Array) -> Array:
        """Return the target head's logits of analytically mapped features, (n, K).

        They are the source's own logits, (n, K), projected on what the target's head can express.
        """
        bias = np.asarray(self.head.bias, np.float64) if self.form == "affine" else 0.0
        wanted = logits - bias
        return np.asarray((wanted @ self.left) @ self.left.T + bias)


def check_classes(source: Head, target: Head, names: str) -> None:
    """Raise InputError unless two heads have the same classes in the same order."""
    if source.n_classes != target.n_classes:
        raise InputError(
            f"heads of {names}: got {source.n_classes} and {counted(target.n_classes, 'class', 'classes')}, expected "
            "the same classes in both"
        )
    if not np.array_equal(source.classes, target.classes):
        raise InputError(f"heads of {names}: the classes differ, or their order does")


def analytic(source: Space, target: Space, source_head: Head, factor: HeadFactor) -> LinearMap:
    """Return the affine analytic map between two spaces with heads over the same classes.

    Parameters
    ----------
    source, target
        The spaces.
    source_head
        Head of the source.
    factor
        The target's head, factored in the form `affine`.

    Raises
    ------
    InputError
        When the heads differ in classes, or the factor is of the homogeneous form.
    """
    check_classes(source_head, factor.head, f"{source.name} and {target.name}")
    if factor.form != "affine":
        raise InputError("the homogeneous form is no affine map; factor the head as affine")
    head_bias = np.asarray(source_head.bias, np.float64) - np.asarray(factor.head.bias, np.float64)
    return LinearMap(
        weight=factor.solve(np.asarray(source_head.weight, np.float64)),
        bias=factor.solve(head_bias),
        source=source,
        target=target,
        method="analytic",
        info={"n": 0, "rank": factor.rank, "classes": factor.head.n_classes},
    )
