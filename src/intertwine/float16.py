"""float16 numbers as float32, quicker than NumPy converts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from intertwine.arrays import Array

# A float16 has 10 bits of mantissa, a float32 23; shifted by the difference, sign and all, the bits
# between the sign and the exponent must go.
_SHIFT = 23 - 10
_KEPT = np.int32(-0x70000001)
# What the narrower exponent, whose bias is 15 instead of 127, then lacks.
_LACK = np.float32(2.0 ** (127 - 15))


def widen(features: Array, out: Array) -> None:
    """Write finite float16 numbers as float32, exactly; subnormal ones too.

    Parameters
    ----------
    features
        float16 array. NaN and infinities would become finite numbers above 65,504.
    out
        float32 array of the same shape; contiguous along its last axis.
    """
    bits = out.view(np.int32)
    bits[...] = features.view(np.int16)
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _KEPT, out=bits)
    np.multiply(out, _LACK, out=out)


def widened(features: Array) -> Array:
    """Return finite float16 features, (n, d), as float32; others as they are."""
    if features.dtype != np.float16:
        return features
    out = np.empty(features.shape, np.float32)
    widen(features, out)
    return out
