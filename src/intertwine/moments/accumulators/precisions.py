"""Precision and device of products, and whether this machine supports them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.numerics.arrays import resolve_precision, to_device

# Largest relative rounding of a number stored as one, two or three bfloat16 halves.
HALF_ERRORS = (2.0**-8, 2.0**-16, 2.0**-24)
DEFAULT_FAST_ERROR = HALF_ERRORS[0]


@dataclass(frozen=True)
class Products:
    """How products of features are computed.

    `precision` is `float64`, `float32`, `fast`: 16-bit inputs on matrix units, float32
    accumulators, or `auto` until it is resolved. `device` is `cpu`, `cuda` (every GPU there is) or `cuda:N`. `fast_error` is the
    largest relative rounding of a feature, as a difference from the origin, that `fast` may make:
    it chooses between one, two and three bfloat16 halves; InputError for one that three halves do
    not reach.
    """

    precision: str = "auto"
    device: str = "cpu"
    fast_error: float = DEFAULT_FAST_ERROR

    def __post_init__(self) -> None:
        if not self.fast_error >= HALF_ERRORS[-1]:
            raise InputError(
                f"got fast error {self.fast_error}, expected at least {HALF_ERRORS[-1]:.1e}, which "
                "three halves reach; use float32 or float64"
            )

    def resolved(self, *, dim: int, n_rows: int | None) -> Products:
        """Return these products with the precision that `auto` is for this size of data."""
        return replace(self, precision=resolve_precision(self.precision, dim=dim, n_rows=n_rows))

    def require(self) -> None:
        """Raise InputError where this machine lacks the device or the matrix units."""
        if self.device != "cpu":
            to_device(np.zeros(1), self.device)  # refuses what is not there
        elif self.precision == "fast":
            require_matrix_units()

    @property
    def on_blas(self) -> bool:
        """Whether NumPy's BLAS computes the products."""
        return self.device == "cpu" and self.precision != "fast"

    @property
    def exact_halves(self) -> bool:
        """Whether float16 features are multiplied exactly, as they are: on a GPU's units."""
        return self.precision == "fast" and self.device != "cpu"

    @property
    def halves(self) -> int:
        """How many bfloat16 halves keep a feature to within the error; 0 unless `fast`."""
        if self.precision != "fast":
            return 0
        return next(k + 1 for k, error in enumerate(HALF_ERRORS) if error <= self.fast_error)

    def devices(self) -> list[Any]:
        """Return the torch devices that share the products."""
        torch = import_extra("torch", "fast")
        if self.device == "cuda":
            return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
        return [torch.device(self.device)]


# What a command computes that was asked for nothing else.
AUTO = Products()


def require_matrix_units() -> None:
    """Raise InputError where this processor has no matrix units for 16-bit numbers."""
    units = matrix_units()
    if not units:
        raise InputError(
            "precision fast needs a processor with AMX or AVX-512-BF16, or a GPU; this one has "
            "neither: use float32"
        )


def matrix_units() -> list[str]:
    """Return the names of this processor's bfloat16 units, as torch sees them."""
    cpu = import_extra("torch", "fast").cpu
    units = {
        "AMX": getattr(cpu, "_is_amx_tile_supported", None),
        "AVX-512-BF16": getattr(cpu, "_is_avx512_bf16_supported", None),
    }
    return [name for name, supported in units.items() if supported and supported()]
