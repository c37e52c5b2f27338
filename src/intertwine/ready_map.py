"""A map whose weights lie ready for many chunks of features, on the processor or a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.arrays import check_finite, like, namespace, to_numpy
from intertwine.float16 import widened

if TYPE_CHECKING:
    from intertwine.arrays import Array


@dataclass(frozen=True)
class ReadyMap:
    """A map whose weights lie ready for many chunks of features, on a device.

    Parameters
    ----------
    weight
        (d_source, d_target), NumPy or a tensor.
    bias
        (d_target,).
    name
        What to call the map in an error.
    gain
        The largest norm of the weights of one target feature: by Cauchy and Schwarz no mapped
        feature of a row is larger than the row's norm times this, and the bias.
    unit_source
        Whether rows are scaled to length 1 first.
    """

    weight: Any
    bias: Any
    name: str
    gain: float
    unit_source: bool = False

    def apply(self, rows: Array, out: Array, *, first_row: int = 0) -> None:
        """Map a chunk, (n, d_source), into `out`, (n, d_target).

        Raises
        ------
        InputError
            For NaN or infinity, or numbers that do not fit `out`'s dtype.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(self.weight, np.ndarray):
                safe = self._apply(rows, out, first_row)
            else:
                self._check_input(rows, first_row)
                features = like(np.ascontiguousarray(self._scaled(rows)), self.weight)
                mapped = namespace(self.weight).astype(features, self.weight.dtype) @ self.weight
                out[...], safe = to_numpy(mapped + self.bias), False
        if not safe:
            check_finite(out, name=f"output of map {self.name} in {out.dtype}", rows=first_row)

    def _apply(self, rows: Array, out: Array, first_row: int) -> bool:
        """Map a chunk by NumPy; return whether it is certain that the output could hold it."""
        if rows.dtype == np.float16:
            self._check_input(rows, first_row)
        features = self._scaled(widened(rows).astype(self.weight.dtype, copy=False))
        # One look at squared norms tells of NaN and infinity here, and of what is too large there.
        longest = np.sqrt(np.vecdot(features, features).max(initial=0))
        if not np.isfinite(longest):
            self._check_input(rows, first_row)
        in_place = out.dtype == features.dtype
        mapped = np.matmul(features, self.weight, out=out if in_place else None)
        mapped += self.bias
        if not in_place:
            out[...] = mapped
        largest = longest * self.gain + np.abs(self.bias).max(initial=0)
        return bool(largest < np.finfo(out.dtype).max / 2)

    def _scaled(self, rows: Array) -> Array:
        """Return rows of length 1 where that is asked; their squares are added in float64."""
        if not self.unit_source:
            return rows
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None], self.weight_dtype)

    @property
    def weight_dtype(self) -> Any:
        """The NumPy dtype in which rows are multiplied."""
        held = str(self.weight.dtype).rsplit(".", maxsplit=1)[-1]
        return np.dtype(held)

    def _check_input(self, rows: Array, first_row: int) -> None:
        check_finite(rows, name=f"input of map {self.name}", rows=first_row)
