"""Joint moments of several embedding spaces: everything a linear method needs, in one pass.

Moments add (`+`: chunks, processes, machines, folds) and subtract (`-`: a fold is left out), so no
method in this package reads a row twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import FileFormatError, InputError
from intertwine.moments.accumulators import DEFAULT_FAST_ERROR, Products
from intertwine.moments.accumulators.sums import Sums
from intertwine.moments.blocks import PendingBlock, joined
from intertwine.numerics.arrays import (
    as_features,
    check_finite,
    device_features,
    namespace,
    require_one_length,
    resolve_precision,
    to_numpy,
)
from intertwine.parallel.threads import parallel_map
from intertwine.spaces import SPACE, Space
from intertwine.storage.files import read_tensors, write_tensors
from intertwine.storage.untrusted import damage_as_error, require_shape
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os

    from intertwine.moments.blocks import RowRange
    from intertwine.numerics.arrays import Array

# Below this share of rows a difference keeps too few digits; the parts should be merged instead.
MIN_REMAINING_SHARE = 0.01
# A column whose spread is below this many roundings of its sum of squares is constant.
_CONSTANT_ROUNDINGS = 64
# One whose spread is below this many of float64's steps of its mean is constant too …
_CONSTANT_STEPS = 4
# … and one whose squares are next to nothing a row, where products have lost their digits.
_LEAST_SQUARES = {"float64": 1e-285, "float32": 1e-40}
# A chunk of fewer numbers is checked before threads have started.
_MANY_NUMBERS = 1 << 22
_COARSER = ("float64", "float32", "fast")
# What the header of a file of moments holds.
HEADER = {
    "spaces": [SPACE],
    "n": int,
    "precision": str,
    "fast_error?": (float, None),
    "next_row": int,
    "rows?": [list],
}


class Moments:
    """Count, mean and centred scatter of several spaces over the same rows.

    Parameters
    ----------
    spaces
        The spaces, or a mapping from name to dimension.
    precision
        `float64`; `float32` for float32 products with float64 sums of blocks; `fast` for 16-bit
        inputs on matrix units, float32 accumulators and float64 sums; `auto` for `float64` where
        the joint dimension is at most 4,096, else `float32`.
    origin
        (d,) by space: the vector about which products are computed. Workers on one feature set share
        one. By default the mean of the first 4,096 rows. It changes rounding only.
    first_row
        Row number of the first row, when a worker starts inside a feature set, so that every
        worker cuts blocks at the same absolute rows.
    device
        Where products are computed: `cpu`, `cuda` (every GPU there is) or `cuda:N`.
    fast_error
        Largest relative rounding of a feature, as a difference from the origin, that `fast` may
        make; it decides how many 16-bit halves a feature is split in.

    Attributes
    ----------
    rows
        (key of a feature set, first row, row after the last) of what is known to be in here.

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
        device: str = "cpu",
        fast_error: float = DEFAULT_FAST_ERROR,
    ) -> None:
        if isinstance(spaces, Mapping):
            spaces = [Space(name, dim) for name, dim in spaces.items()]
        listed = list(spaces)
        self.spaces: dict[str, Space] = {space.name: space for space in listed}
        if not listed or len(self.spaces) < len(listed):
            raise InputError(
                f"got spaces {named(space.name for space in listed)}, expected one or more, each once"
            )
        dims = {name: space.dim for name, space in self.spaces.items()}
        self.precision = resolve_precision(precision, dim=sum(dims.values()), n_rows=None)
        self.products = Products(self.precision, device, fast_error)
        self.rows: list[RowRange] = []
        self._sums = Sums.zeros(dims)
        self._block = PendingBlock(
            None if origin is None else _checked_origin(origin, dims), first_row
        )

    @classmethod
    def of(
        cls,
        spaces: Mapping[str, Any] | None = None,
        /,
        *,
        precision: str = "auto",
        device: str = "cpu",
        **arrays: Any,
    ) -> Moments:
        """Return the joint moments of arrays in memory.

        Parameters
        ----------
        spaces
            (n, d) array by space's name, of any array library; row i of every array is the same
            sample.
        precision, device
            Those of `Moments`.
        arrays
            More spaces, by keyword.

        Raises
        ------
        InputError
            For arrays that are not (n, d), not finite, or differ in their numbers of rows.

        Examples
        --------
        >>> import numpy as np
        >>> Moments.of(a=np.eye(3), b=np.ones((3, 1)))
        Moments(n=3; a (3), b (1); float64)
        """
        features = {**(spaces or {}), **arrays}
        dims = {name: _dimension(array, name) for name, array in features.items()}
        n_rows = max(map(len, features.values()), default=0)
        precision = resolve_precision(precision, dim=sum(dims.values()), n_rows=n_rows)
        moments = cls(dims, precision=precision, device=device)
        moments.update(features)
        return moments

    def __repr__(self) -> str:
        spaces = ", ".join(f"{name} ({space.dim})" for name, space in self.spaces.items())
        return f"Moments(n={self.n:,}; {spaces}; {self.precision})"

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
            infinity, and a device or matrix units that are not there. Nothing is added then.
        """
        if not self._block.is_open:
            self.products.require()
        self._block.add(self._checked(chunk, rows), self._sums, self.products)

    def flush(self) -> None:
        """Add the block that is being filled to the sums.

        Moments that several threads only read must be flushed first. Later blocks still end on the
        absolute grid.
        """
        self._block.flush(self._sums, self.products)

    def _checked(self, chunk: Mapping[str, Any], rows: range | Array | None) -> dict[str, Any]:
        if set(chunk) != set(self.spaces):
            raise InputError(
                f"got spaces {named(sorted(chunk))}, expected {named(sorted(self.spaces))}"
            )
        features = {
            name: device_features(
                chunk[name], name=name, dim=space.dim, on_host=self.products.device == "cpu"
            )
            for name, space in self.spaces.items()
        }
        require_one_length({name: tuple(array.shape) for name, array in features.items()})
        self._require_finite(features, self.next_row if rows is None else rows)
        return features

    def _require_finite(self, features: dict[str, Any], rows: int | range | Array) -> None:
        def check(name: str) -> None:
            array = features[name]
            # One number shows whether a device's rows are finite; only bad ones are copied, to be named.
            if isinstance(array, np.ndarray) or not _sum_is_finite(array):
                check_finite(to_numpy(array), name=name, rows=rows)

        count = len(next(iter(features.values()))) * self.dim
        # Threads cost more than a small chunk.
        list((map if count < _MANY_NUMBERS else parallel_map)(check, features))

    # -- reading --------------------------------------------------------------------------------

    @property
    def sums(self) -> Sums:
        """The raw sums about `origin` of every row added so far; reading them is a `flush`."""
        self.flush()
        return self._sums

    @property
    def n(self) -> int:
        """Number of rows."""
        return self._sums.n + self._block.n

    @property
    def eps(self) -> float:
        """Relative rounding of the products; those of `fast` are summed up in float32 too."""
        return float(np.finfo("float64" if self.precision == "float64" else "float32").eps)

    @property
    def next_row(self) -> int:
        """Number of the next row on the absolute grid."""
        return self._block.next_row

    @next_row.setter
    def next_row(self, row: int) -> None:
        self._block.next_row = row

    @property
    def dim(self) -> int:
        """Joint dimension of all spaces."""
        return sum(space.dim for space in self.spaces.values())

    @property
    def origin(self) -> dict[str, Array]:
        """The vector about which products are computed, (d,) by space; zeros before any row."""
        self.flush()
        if self._block.origin is None:
            return {name: np.zeros(space.dim) for name, space in self.spaces.items()}
        return self._block.origin

    def space(self, name: str) -> Space:
        """Return a space by name.

        Raises
        ------
        InputError
            For a space that is not here.
        """
        if name not in self.spaces:
            raise InputError(f"got space {name!r}, expected one of {named(self.spaces)}")
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
        if (a, b) not in sums.second:
            return self.scatter(b, a).T
        scatter: Array = np.outer(sums.first[a], sums.first[b] / max(sums.n, 1))
        np.subtract(sums.pair(a, b), scatter, out=scatter)
        scatter[self.scatter_diagonal(a) == 0] = 0.0
        scatter[:, self.scatter_diagonal(b) == 0] = 0.0
        return scatter

    def scatter_diagonal(self, name: str) -> Array:
        """Return the diagonal of `scatter(name)`, (d,): never negative, 0 for constant features."""
        sums = self._known(name)
        squares = sums.diagonal(name)
        spread = squares - sums.first[name] ** 2 / max(sums.n, 1)
        rounding = _CONSTANT_ROUNDINGS * self.eps * squares
        # Rounding of the features themselves: a constant that was computed in several ways.
        steps = sums.n * (_CONSTANT_STEPS * np.finfo(np.float64).eps * self.mean(name)) ** 2
        least = sums.n * _LEAST_SQUARES["float64" if self.precision == "float64" else "float32"]
        floor = np.maximum(np.maximum(rounding, steps), least)
        return np.asarray(np.where(spread > floor, spread, 0.0))

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
                f"got {counted(other.n, 'row')} to subtract from {self.n}: less than 1 % would remain, with "
                "too few exact digits; merge the moments of the remaining rows instead"
            )
        rest = self.copy()
        rest._combine(other, -1)
        return rest

    def _combine(self, other: Moments, sign: int) -> None:
        if list(self.spaces) != list(other.spaces):
            raise InputError(
                f"got moments of {named(other.spaces)}, expected {named(self.spaces)}; use select"
            )
        for name, space in self.spaces.items():
            space.require(other.spaces[name])
        rows = joined(self.rows, other.rows) if sign > 0 else []
        self.precision = max(self.precision, other.precision, key=_COARSER.index)
        self.rows = rows
        if other.n == 0:
            return
        if self.n == 0:
            self._block.origin = {name: array.copy() for name, array in other.origin.items()}
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
            raise InputError(f"got spaces {named(unknown)}, expected some of {named(self.spaces)}")
        sums = self.sums
        chosen = Moments(
            [self.spaces[name] for name in names],
            precision=self.precision,
            first_row=self.next_row,
        )
        chosen.products = self.products
        chosen.rows = list(self.rows)
        chosen._sums = sums.select(names)
        if self._block.origin is not None:
            chosen._block.origin = {name: self._block.origin[name].copy() for name in names}
        return chosen

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the moments as one checked safetensors file."""
        sums = self.sums
        tensors: dict[str, Array] = {"norm_first": sums.norm_first, "norm_second": sums.norm_second}
        for name in sums.names:
            tensors[f"origin/{name}"] = self.origin[name]
            tensors[f"first/{name}"] = sums.first[name]
            tensors[f"norm_cross/{name}"] = sums.norm_cross[name]
        for a, b in sums.second:
            tensors[f"second/{a}/{b}"] = sums.pair(a, b)
        header: dict[str, Any] = {
            "spaces": [space.to_json() for space in self.spaces.values()],
            "n": sums.n,
            "precision": self.precision,
            "fast_error": self.products.fast_error if self.precision == "fast" else None,
            "next_row": self.next_row,
            "rows": [list(part) for part in self.rows],
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
        require_shape(header, HEADER, path)

        def take(name: str, like: Array) -> Array:
            if name not in tensors:
                raise FileFormatError(f"{path}: holds no {name!r}")
            tensor = tensors[name]
            if tensor.shape != like.shape or tensor.dtype != np.float64:
                raise FileFormatError(
                    f"{path}: {name} has shape {tensor.shape} of {tensor.dtype}, expected {like.shape} of "
                    "float64"
                )
            return tensor

        with damage_as_error(path, "moments"):
            spaces = [Space.from_json(value) for value in header["spaces"]]
            moments = cls(
                spaces,
                precision=header["precision"],
                first_row=int(header["next_row"]),
                origin={s.name: take(f"origin/{s.name}", np.empty(s.dim)) for s in spaces},
                fast_error=header.get("fast_error") or DEFAULT_FAST_ERROR,
            )
            moments.rows = [(key, start, stop) for key, start, stop in header.get("rows", [])]
            sums = moments.sums
            sums.n = int(header["n"])
            sums.norm_first = take("norm_first", sums.norm_first)
            sums.norm_second = take("norm_second", sums.norm_second)
            sums.first = {a: take(f"first/{a}", x) for a, x in sums.first.items()}
            sums.norm_cross = {a: take(f"norm_cross/{a}", x) for a, x in sums.norm_cross.items()}
            sums.second = {(a, b): take(f"second/{a}/{b}", x) for (a, b), x in sums.second.items()}
        return moments

    def __getstate__(self) -> dict[str, Any]:
        self.flush()  # which also frees what may hold a device
        return self.__dict__.copy()


def _dimension(array: Any, name: str) -> int:
    """Return d of an (n, d) array of any library, or of nested lists."""
    shape = tuple(getattr(array, "shape", ()))
    return int(shape[1] if len(shape) == 2 else as_features(array, name=name).shape[1])


def _checked_origin(origin: Mapping[str, Array], dims: Mapping[str, int]) -> dict[str, Array]:
    if {name: np.shape(origin[name]) for name in origin} != {a: (d,) for a, d in dims.items()}:
        raise InputError(
            f"got an origin for {named(sorted(origin))}, expected one (d,) vector a space"
        )
    return {name: np.array(origin[name], np.float64) for name in dims}


def _sum_is_finite(features: Any) -> bool:
    xp = namespace(features)
    return bool(np.isfinite(float(xp.sum(features, dtype=xp.float64))))
