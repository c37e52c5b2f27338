"""Joint moments of several embedding spaces: everything a linear method needs, in one pass.

Moments add (`+`: chunks, processes, machines, folds) and subtract (`-`: a fold is left out), so no
method in this package reads a row twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.arrays import as_features, check_finite, resolve_precision
from intertwine.errors import FileFormatError, InputError
from intertwine.files import read_tensors, write_tensors
from intertwine.spaces import Space
from intertwine.sums import Sums

if TYPE_CHECKING:
    import os

    from intertwine.arrays import Array

# Rows a block: products are taken on this absolute grid however the rows arrive, and the mean of
# the first block is the origin.
BLOCK_ROWS = 4096
# Below this share of rows a difference keeps too few digits; the parts should be merged instead.
MIN_REMAINING_SHARE = 0.01
# A column whose spread is below this many roundings of its sum of squares is constant.
_CONSTANT_ROUNDINGS = 64


class Moments:
    """Count, mean and centred scatter of several spaces over the same rows.

    Parameters
    ----------
    spaces
        The spaces, or a mapping from name to dimension.
    precision
        `float64`; `float32` for float32 products with float64 sums of blocks; `auto` for `float64`
        where the joint dimension is at most 4,096, else `float32`.
    origin
        (d,) by space: the vector about which products are taken. Workers on one feature set share
        one. By default the mean of the first 4,096 rows. It changes rounding only.
    first_row
        Row number of the first row, when a worker starts inside a feature set, so that every
        worker cuts blocks at the same absolute rows.

    Raises
    ------
    InputError
        For no spaces, a name twice, or an unknown precision.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments({"a": 2, "b": 1})
    >>> moments.update({"a": np.eye(2), "b": np.ones((2, 1))})
    >>> moments.n, moments.scatter("a").tolist()
    (2, [[0.5, -0.5], [-0.5, 0.5]])
    """

    def __init__(
        self,
        spaces: Iterable[Space] | Mapping[str, int],
        *,
        precision: str = "auto",
        origin: Mapping[str, Array] | None = None,
        first_row: int = 0,
    ) -> None:
        if isinstance(spaces, Mapping):
            spaces = [Space(name, dim) for name, dim in spaces.items()]
        listed = list(spaces)
        self.spaces: dict[str, Space] = {space.name: space for space in listed}
        if not listed or len(self.spaces) < len(listed):
            raise InputError(
                f"got spaces {[space.name for space in listed]}, expected one or more, each once"
            )
        dims = {name: space.dim for name, space in self.spaces.items()}
        self.precision = resolve_precision(precision, dim=sum(dims.values()), n_rows=None)
        self._sums = Sums.zeros(dims)
        self._origin = None if origin is None else _checked_origin(origin, dims)
        self._row = first_row
        self._pending: list[dict[str, Array]] = []
        self._n_pending = 0

    # -- filling --------------------------------------------------------------------------------

    def update(self, chunk: Mapping[str, Any], *, rows: range | Array | None = None) -> None:
        """Add rows.

        Parameters
        ----------
        chunk
            (n, d) array by space, of any array library, float16, float32 or float64; row i of
            every array is the same sample. All spaces must be there.
        rows
            (n,) row numbers to name in an error, when they are not simply the next ones.

        Raises
        ------
        InputError
            For an absent or unknown space, a wrong shape, different numbers of rows, NaN or
            infinity. Nothing is added then.
        """
        features = self._checked(chunk, rows)
        n_rows = len(next(iter(features.values())))
        start = 0
        while start < n_rows:
            edge = (self._row // BLOCK_ROWS + 1) * BLOCK_ROWS
            stop = min(n_rows, start + edge - self._row - self._n_pending)
            part = {name: array[start:stop] for name, array in features.items()}
            self._n_pending += stop - start
            full = self._row + self._n_pending == edge
            # What waits must not change when the caller reuses its buffer.
            self._pending.append(part if full else {a: part[a].copy() for a in part})
            if full:
                self._flush()
            start = stop

    def _checked(self, chunk: Mapping[str, Any], rows: range | Array | None) -> dict[str, Array]:
        if set(chunk) != set(self.spaces):
            raise InputError(f"got spaces {sorted(chunk)}, expected {sorted(self.spaces)}")
        features = {
            name: as_features(chunk[name], name=name, dim=space.dim)
            for name, space in self.spaces.items()
        }
        lengths = {name: len(array) for name, array in features.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"rows differ between spaces: got {lengths}, expected one number")
        for name, array in features.items():
            next_row = self._row + self._n_pending
            check_finite(array, name=name, rows=next_row if rows is None else rows)
        return features

    def _flush(self) -> None:
        """Turn the rows that wait into one block of products."""
        if not self._n_pending:
            return
        # One memory layout: another would change the order of additions, hence the last bits.
        rows = {
            name: np.concatenate([np.ascontiguousarray(part[name]) for part in self._pending])
            if len(self._pending) > 1
            else np.ascontiguousarray(self._pending[0][name])
            for name in self.spaces
        }
        dtype = np.dtype(self.precision)
        with np.errstate(over="ignore", invalid="ignore"):  # `add_block` refuses what overflows
            if self._origin is None:
                self._origin = {name: _origin_of(array) for name, array in rows.items()}
            origin = self._origin
            block = {name: _centred(array, origin[name], dtype) for name, array in rows.items()}
        self._sums.add_block(block)
        self._row += self._n_pending
        self._pending, self._n_pending = [], 0

    # -- reading --------------------------------------------------------------------------------

    @property
    def sums(self) -> Sums:
        """The raw sums about `origin`, of every row given so far.

        Reading closes the block in hand; later blocks still end on the absolute grid.
        """
        self._flush()
        return self._sums

    @property
    def n(self) -> int:
        """Number of rows."""
        return self._sums.n + self._n_pending

    @property
    def dim(self) -> int:
        """Joint dimension of all spaces."""
        return sum(space.dim for space in self.spaces.values())

    @property
    def origin(self) -> dict[str, Array]:
        """The vector about which products are taken, (d,) by space; zeros before any row."""
        self._flush()
        if self._origin is None:
            return {name: np.zeros(space.dim) for name, space in self.spaces.items()}
        return self._origin

    def space(self, name: str) -> Space:
        """Return a space by name.

        Raises
        ------
        InputError
            For a space that is not here.
        """
        if name not in self.spaces:
            raise InputError(f"got space {name!r}, expected one of {list(self.spaces)}")
        return self.spaces[name]

    def mean(self, name: str) -> Array:
        """Return the mean of a space, (d,); the origin when there are no rows."""
        first = self._known(name).first[name]
        return np.asarray(self.origin[name] + first / max(self.n, 1))

    def scatter(self, a: str, b: str | None = None) -> Array:
        """Return the centred scatter Σ (x_a − μ_a)(x_b − μ_b)ᵀ, (d_a, d_b); b is a when omitted.

        Rows and columns of features that vary by no more than rounding are exactly zero.
        """
        b = a if b is None else b
        sums = self._known(a, b)
        scatter: Array = sums.pair(a, b) - np.outer(sums.first[a], sums.first[b] / max(sums.n, 1))
        scatter[self.scatter_diagonal(a) == 0] = 0.0
        scatter[:, self.scatter_diagonal(b) == 0] = 0.0
        return scatter

    def scatter_diagonal(self, name: str) -> Array:
        """Return the diagonal of `scatter(name)`, (d,): never negative, 0 for constant features."""
        sums = self._known(name)
        squares = sums.diagonal(name)
        spread = squares - sums.first[name] ** 2 / max(sums.n, 1)
        rounding = _CONSTANT_ROUNDINGS * np.finfo(self.precision).eps * squares
        return np.asarray(np.where(spread > np.maximum(rounding, 0.0), spread, 0.0))

    def _known(self, *names: str) -> Sums:
        for name in names:
            self.space(name)
        return self.sums

    def norms_about_mean(self, names: Iterable[str]) -> tuple[Array, Array]:
        """Return Σq and Σ q qᵀ of some spaces, q = ‖x − μ‖²: what debiased CKA needs of the rows.

        Parameters
        ----------
        names
            The k spaces, each once.

        Returns
        -------
        first, second
            (k,) and (k, k).
        """
        sums = self._known(*names)
        return sums.shifted_norms({name: -sums.first[name] / max(sums.n, 1) for name in names})

    # -- algebra --------------------------------------------------------------------------------

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows."""
        merged = self.copy()
        merged += other
        return merged

    def __iadd__(self, other: Moments) -> Moments:  # noqa: PYI034 - Self needs a subclass to matter
        """Add another set of rows in place."""
        self._combine(other, 1)
        return self

    def __sub__(self, other: Moments) -> Moments:
        """Return the moments of the rows that are in these and not in `other`.

        Raises
        ------
        InputError
            When `other` has more rows, or less than 1 % of the rows would remain: the difference
            would keep too few digits. Merge the parts that should remain instead.
        """
        remaining = self.n - other.n
        if remaining < MIN_REMAINING_SHARE * self.n:
            raise InputError(
                f"got {other.n} rows to subtract from {self.n}: less than 1 % would remain, with "
                "too few exact digits; merge the moments of the remaining rows instead"
            )
        rest = self.copy()
        rest._combine(other, -1)
        return rest

    def _combine(self, other: Moments, sign: int) -> None:
        if list(self.spaces) != list(other.spaces):
            raise InputError(
                f"got moments of {list(other.spaces)}, expected {list(self.spaces)}; use select"
            )
        for name, space in self.spaces.items():
            space.require(other.spaces[name])
        if "float32" in {self.precision, other.precision}:
            self.precision = "float32"
        if other.n == 0:
            return
        if self.n == 0:
            self._origin = {name: array.copy() for name, array in other.origin.items()}
        origin, others = self.origin, other.sums
        delta = {name: other.origin[name] - origin[name] for name in self.spaces}
        if any(shift.any() for shift in delta.values()):
            others = others.shifted(delta)
        self.sums.combine(others, sign)

    def copy(self) -> Moments:
        """Return independent moments of the same rows."""
        return self.select(self.spaces)

    def select(self, names: Iterable[str]) -> Moments:
        """Return the moments of some of the spaces.

        Raises
        ------
        InputError
            For a space that is not here.
        """
        names = list(names)
        unknown = [name for name in names if name not in self.spaces]
        if unknown:
            raise InputError(f"got spaces {unknown}, expected some of {list(self.spaces)}")
        chosen = Moments(
            [self.spaces[name] for name in names], precision=self.precision, first_row=self._row
        )
        chosen._sums = self.sums.select(names)
        if self._origin is not None:
            chosen._origin = {name: self._origin[name].copy() for name in names}
        return chosen

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the moments as one checked safetensors file."""
        sums = self.sums
        tensors: dict[str, Array] = {
            "norm_first": sums.norm_first,
            "norm_second": sums.norm_second,
        }
        for name in sums.names:
            tensors[f"origin/{name}"] = self.origin[name]
            tensors[f"first/{name}"] = sums.first[name]
            tensors[f"norm_cross/{name}"] = sums.norm_cross[name]
        for a, b in sums.second:
            tensors[f"second/{a}/{b}"] = sums.pair(a, b)
        header = {
            "spaces": [space.to_json() for space in self.spaces.values()],
            "n": sums.n,
            "precision": self.precision,
            "next_row": self._row,
        }
        write_tensors(path, tensors, kind="moments", header=header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Moments:
        """Read moments that `save` wrote.

        Raises
        ------
        FileFormatError
            When the file is altered, cut, or of another kind.
        """
        tensors, header = read_tensors(path, kind="moments")

        def take(name: str, like: Array) -> Array:
            if tensors[name].shape != like.shape:
                shape = tensors[name].shape
                raise FileFormatError(f"{path}: {name} has shape {shape}, expected {like.shape}")
            return tensors[name]

        try:
            spaces = [Space.from_json(value) for value in header["spaces"]]
            moments = cls(spaces, precision=header["precision"], first_row=int(header["next_row"]))
            sums = moments._sums
            sums.n = int(header["n"])
            sums.norm_first = take("norm_first", sums.norm_first)
            sums.norm_second = take("norm_second", sums.norm_second)
            moments._origin = {a: take(f"origin/{a}", x) for a, x in sums.first.items()}
            sums.first = {a: take(f"first/{a}", x) for a, x in sums.first.items()}
            sums.norm_cross = {a: take(f"norm_cross/{a}", x) for a, x in sums.norm_cross.items()}
            sums.second = {(a, b): take(f"second/{a}/{b}", x) for (a, b), x in sums.second.items()}
        except KeyError as error:
            raise FileFormatError(f"{path}: holds no {error}") from error
        return moments


def _checked_origin(origin: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
    if {name: np.shape(origin[name]) for name in origin} != {a: (d,) for a, d in dims.items()}:
        raise InputError(f"got an origin for {sorted(origin)}, expected one (d,) vector a space")
    return {name: np.array(origin[name], np.float64) for name in dims}


def _origin_of(rows: Array) -> Array:
    """Return the mean of rows, rounded to float32 so that float32 differences from it are exact."""
    mean: Array = rows.mean(axis=0, dtype=np.float64)
    with np.errstate(over="ignore"):
        rounded = mean.astype(np.float32).astype(np.float64)
    return np.where(np.isfinite(rounded), rounded, mean)


def _centred(rows: Array, origin: Array, dtype: np.dtype[Any]) -> Array:
    """Return rows − origin in `dtype`, subtracted in the wider of the two types."""
    if dtype == np.float32 and rows.dtype != np.float64:
        return np.subtract(rows, origin.astype(np.float32), dtype=np.float32)
    return (rows - origin).astype(dtype, copy=False)
