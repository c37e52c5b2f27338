"""What an accumulator does, and which one a precision and a device ask for."""

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
        """Rows of the block in hand."""

    def write(self, rows: Mapping[str, Array]) -> None:
        """Take rows of the block in hand.

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
        """Add the block in hand.

        Raises
        ------
        InputError
            When its products would overflow or lose too many digits; it is dropped then.
        """

    def collect(self) -> None:
        """Bring every block added so far into the sums."""


def open_accumulator(sums: Sums, origin: Mapping[str, Array], products: Products) -> Accumulator:
    """Return what adds rows to some sums.

    Parameters
    ----------
    sums
        The sums to add to; complete after each `collect`.
    origin
        (d,) by space: the vector about which the sums are taken.
    products
        Precision and device of the products.

    Raises
    ------
    InputError
        When this machine cannot take such products.
    """
    products.require()
    if products.on_blas:
        return BlasAccumulator(sums, origin, products.precision)
    from intertwine.moments.accumulators.gpu import TorchAccumulator

    return TorchAccumulator(sums, origin, products)
