"""Products of 16-bit inputs with float32 accumulators, and how exact they are.

A bfloat16 number has 8 bits of mantissa. A float32 number is the sum of three such halves, nearly so
of two; their products are exact in float32, so that only the accumulation rounds. (Henry, Tang &
Heinecke, *Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
Computations*, ARITH 2019.) Features are rounded to the sum of the halves that remain before
anything is added up: all sums are then those of one and the same, slightly rounded, data.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

# Which halves of the left factor meet which of the right: what is left out is below the last bit.
TERMS = {
    1: ((0, 0),),
    2: ((0, 0), (0, 1), (1, 0), (1, 1)),
    3: ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)),
}


def rounded(z: Any, halves: int) -> Any:
    """Return a float32 tensor rounded to the sum of 1, 2 or 3 bfloat16 halves; 3 hold every bit."""
    if halves == 3:
        return z
    total = z.bfloat16().float()
    return total if halves == 1 else total + (z - total).bfloat16().float()


def split(z: Any, halves: int) -> list[Any]:
    """Return bfloat16 tensors that add up to a rounded float32 tensor, largest first."""
    parts = []
    for _ in range(halves - 1):
        parts.append(z.bfloat16())
        z = z - parts[-1].float()
    return [*parts, z.bfloat16()]


def product(left: list[Any], right: list[Any]) -> Any:
    """Return left @ rightᵀ from their halves, without rounding the result to 16 bits.

    Both sides are lists of halves, (rows, k) and (columns, k), or of one float32 or float64 tensor.
    """
    torch = import_extra("torch", "fast")
    total = None
    for p, q in TERMS[len(left)]:
        a, b = left[p], right[q].T
        narrow = a.dtype in {torch.float16, torch.bfloat16}
        term = torch.mm(a, b, out_dtype=torch.float32) if narrow else a @ b
        total = term if total is None else total.add_(term)
    return total


@contextmanager
def matrix_units() -> Iterator[None]:
    """In this context, allow bfloat16 units inside float32 products of this process."""
    torch = import_extra("torch", "fast")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
