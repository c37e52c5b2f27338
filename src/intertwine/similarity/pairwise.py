"""One space's sample of rows, and the distances between them in blocks.

Measures that compare rows with rows need (m, m) numbers a space. They are computed in blocks of
rows, and what one space needs for all its pairs is computed once and kept in the space's `RowView`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import (
    as_features,
    check_finite,
    like,
    namespace,
    smallest,
    to_device,
    to_numpy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from intertwine.numerics.arrays import Array

T = TypeVar("T")

BLOCK = 512
# What the difference of norms and products leaves of equal rows, over the norms.
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
# Squared distances that differ by less than 2⁻⁴⁰ of the median's are equal: that much is rounding.
_TIE_BITS = 40
# Those above 2¹⁰ of it are known to 44 bits instead.
_FAR_BITS, _FAR_DIGITS = 50, 44
# Neighbours of all rows together, ties included, that memory has to hold at most.
MOST_NEIGHBOURS = 1 << 24


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other rows of every row, where rows at equal distances share the last places.

    Of t rows that tie for the last p of k places each is a neighbour to p/t, the average over
    random ways of breaking the tie. So every row's shares, above 0 and at most 1, sum to k. `rows`
    and `columns` (entries,) are a row and a neighbour of it, nearest first within a row.
    """

    rows: Array
    columns: Array
    shares: Array


@dataclass(frozen=True, eq=False)
class RowView:
    """One space's rows, centred and scaled to mean ‖z‖² = 1, and what has been computed from them.

    Memory: 8 m d bytes of features, some blocks of (512, m) float64 at work, and 8 m² bytes once
    for the median. A view that keeps its kernel (see `RowView.of`) holds 8 m² bytes from then on.

    Parameters
    ----------
    name
        The space's name, for reasons and errors.
    features
        (m, d) float64, on any device.
    mean
        (d,) what was taken off the rows, in their unit; where `features` lie.
    first
        (m,) for each row the first row equal to it, itself for most; where `features` lie.
    constant
        Whether all rows are equal.
    keep
        Whether (m, m) numbers are kept rather than computed again for every pair.
    """

    name: str
    features: Any
    mean: Any
    first: Any
    constant: bool
    keep: bool
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, features: Any, *, name: str, device: str | None = None, keep: bool = True
    ) -> RowView:
        """Prepare the rows of a space.

        Parameters
        ----------
        features
            (m, d) array of any library; the rows are the same samples in every space.
        name
            The space's name.
        device
            `cpu`, `cuda` or `cuda:N`; None leaves arrays where they are.
        keep
            Whether one (m, m) float64 kernel is kept, which makes n spaces' pairs cost n
            products in place of n²; at m = 2,000 it is 32 MB a space.

        Raises
        ------
        InputError
            When the features are no (m, d) numbers, are not finite, or have no rows.
        """
        host = as_features(features, name=name)
        if len(host) == 0:
            raise InputError(f"{name}: got no rows, expected at least one")
        check_finite(host, name=name)
        host, mean = _standardised(host.astype(np.float64))
        first_of: dict[bytes, int] = {}
        first = np.array([first_of.setdefault(row.tobytes(), i) for i, row in enumerate(host)])

        def place(array: Array) -> Any:
            return like(array, features) if device is None else to_device(array, device)

        return cls(name, place(host), place(mean), place(first), len(first_of) == 1, keep)

    @property
    def m(self) -> int:
        """Number of rows."""
        return int(self.features.shape[0])

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was computed under a key, computing it the first time."""
        if key not in self._made:
            self._made[key] = make()
        return cast("T", self._made[key])

    def blocks(self) -> Iterator[slice]:
        """Return slices of up to 512 rows that tile all rows."""
        return (slice(i, min(i + BLOCK, self.m)) for i in range(0, self.m, BLOCK))

    def squared_distances(self, rows: slice) -> Any:
        """Return ‖z_i − z_j‖² of some rows i with all rows j, (rows, m); 0 for equal rows."""
        xp = namespace(self.features)
        norms = self._norms[rows, None] + self._norms[None, :]
        distances = norms - 2 * (self.features[rows, :] @ self.features.T)
        # Equal rows get equal distances to the bit, so that ties are ties.
        distances = xp.take(distances, self.first, axis=1)
        same = self.first[rows, None] == self.first[None, :]
        return xp.where(same | (distances <= _ROUNDING * norms), 0.0, distances)

    def diagonal(self, rows: slice) -> Any:
        """Return where a block of some rows i with all rows j has i = j, (rows, m) booleans."""
        every = np.arange(self.m)
        return like(every[rows, None] == every[None, :], self.features)

    @cached_property
    def median_distance(self) -> float:
        """Median distance of the pairs i < j; where most are 0, of those that are not."""
        parts = []
        for rows in self.blocks():
            block = to_numpy(self.squared_distances(rows))
            parts.append(block[np.arange(self.m) > np.arange(rows.start, rows.stop)[:, None]])
        squares = np.concatenate(parts)
        parts.clear()
        median = (
            float(np.median(np.sqrt(squares, out=squares), overwrite_input=True))
            if squares.size
            else 0.0
        )
        if median == 0 and squares.any():
            median = float(np.median(squares[squares > 0]))
        return median

    def tie_steps(self, squares: Any) -> Any:
        """Return squared distances as whole numbers, so that rounding makes and breaks no ties."""
        xp = namespace(squares)
        steps = xp.round(squares * (2.0**_TIE_BITS / self.median_distance**2))
        far = steps >= 2.0**_FAR_BITS
        if not bool(xp.any(far)):
            return steps
        # Whole numbers beyond 2⁵³ would keep more digits of a distance than it has.
        grid = 2.0 ** (xp.floor(xp.log2(xp.where(far, steps, 1.0))) - _FAR_DIGITS)
        return xp.where(far, xp.round(steps / grid) * grid, steps)

    def nearest(self, k: int) -> Neighbours | None:
        """Return the k ≤ m − 1 nearest other rows of every row; None for too many ties."""
        xp = namespace(self.features)
        parts: list[tuple[Array, Array, Array]] = []
        for rows in self.blocks():
            squares = xp.where(self.diagonal(rows), np.inf, self.squared_distances(rows))
            last = smallest(squares, k)[:, -1:]
            tie = self.median_distance**2 / 2.0**_TIE_BITS
            slack = tie + _ROUNDING / 4 * (self._norms[rows, None] + last)
            near = squares <= last + slack
            count = int(xp.sum(xp.astype(near, xp.int64)))
            if count + sum(len(part[0]) for part in parts) > MOST_NEIGHBOURS:
                return None
            i, j = (to_numpy(index) for index in xp.nonzero(near))
            distances = to_numpy(squares[near])
            shares = _shares(i, distances < to_numpy(last - slack)[i, 0], k)
            order = np.lexsort((distances, i))
            parts.append((i[order] + rows.start, j[order], shares[order]))
        return Neighbours(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    @cached_property
    def _norms(self) -> Any:
        """‖z_i‖², (m,)."""
        return namespace(self.features).sum(self.features**2, axis=1)


def require_same_rows(a: RowView, b: RowView) -> None:
    """Raise an error unless two spaces have the same number of rows, in the same memory."""
    if a.m != b.m:
        raise InputError(
            f"got {a.m} rows of {a.name} and {b.m} of {b.name}, expected the same rows of both"
        )
    if namespace(a.features) is not namespace(b.features) or a.first.device != b.first.device:
        raise InputError(
            f"got {a.name} on {a.first.device} as {type(a.features).__name__} and {b.name} on "
            f"{b.first.device} as {type(b.features).__name__}; prepare both with one device"
        )


def _shares(rows: Array, closer: Array, k: int) -> Array:
    """Return how much of a neighbour each entry is: 1 if closer than the last, else its share."""
    sure, all_found = np.bincount(rows[closer], minlength=rows[-1] + 1), np.bincount(rows)
    return np.where(closer, 1.0, ((k - sure) / (all_found - sure).clip(1))[rows])


def _standardised(features: Array) -> tuple[Array, Array]:
    """Return rows less their mean, of mean square norm 1 unless all are equal, and that mean."""
    scale = np.abs(features).max()
    if scale > 0:
        # Squares of very large or small features would leave the range of numbers.
        features /= scale
    # The computed mean of equal numbers is not always that number.
    still = features.min(axis=0) == features.max(axis=0)
    mean = np.where(still, features[0], features.mean(axis=0))
    features -= mean
    norm = np.sqrt(np.einsum("ij,ij->", features, features) / len(features))
    # Adding 0 makes 0 of −0, which has other bytes.
    return (features / norm + 0.0, mean / norm) if norm > 0 else (features + 0.0, mean)
