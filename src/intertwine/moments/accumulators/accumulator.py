"""What an accumulator does, and the one for a precision and a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from intertwine.moments.accumulators.blas import BlasAccumulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.moments.accumulators.precisions import Products
    from intertwine.moments.accumulators.sums import Sums
    from intertwine.numerics.arrays import Array


class Accumulator(Protocol):
    """Adds blocks of rows to sums about one origin."""

    @property
    def fill(self) -> int:
        """Rows of the pending block."""

    def write(self, rows: Mapping[str, Array]) -> None:
        """Add rows to the pending block.

        Parameters
        ----------
        rows
            (n, d) by space: features as they are, finite. They may be reused after the call.

        Raises
        ------
        InputError
            When they are not of the type that these products began with.
        """

    def close(self) -> None:
        """Add the pending block to the sums.

        Raises
        ------
        InputError
            When its products would overflow or lose too many digits; it is dropped then.
        """

    def collect(self) -> None:
        """Complete the sums with every block added so far."""


def open_accumulator(sums: Sums, origin: Mapping[str, Array], products: Products) -> Accumulator:
    """Return an accumulator that adds rows about an origin, (d,) by space, to some sums.

    The sums are complete after each `collect`. InputError when this machine cannot compute such
    products.
    """
    products.require()
    if products.on_blas:
        return BlasAccumulator(sums, origin, products.precision)
    from intertwine.moments.accumulators.gpu import TorchAccumulator

    return TorchAccumulator(sums, origin, products)
