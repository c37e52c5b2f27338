"""Arrays of any library, and the rules of precision.

The rest of the package handles NumPy arrays, or works through `namespace`: nothing else asks which
library an array is from, and no framework is imported on the user's behalf.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, get_args

import array_api_compat
import numpy as np
import numpy.typing as npt

from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

Array = npt.NDArray[Any]
Precision = Literal["auto", "float64", "float32", "fast"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
AUTO_FLOAT64_DIMENSIONS = 4096
AUTO_FLOAT64_ROWS = 200_000
_FLOATS = (np.float16, np.float32, np.float64)
# A float16 has 10 bits of mantissa, a float32 23; shifted by the difference, sign and all, the bits
# between the sign and the exponent must go.
_SHIFT = 23 - 10
_KEPT = np.int32(-0x70000001)
# What the narrower exponent, whose bias is 15 instead of 127, then lacks.
_LACK = np.float32(2.0 ** (127 - 15))


def to_numpy(array: Any) -> Array:
    """Return any array, or nested sequence of numbers, as NumPy; without a copy if in host memory.

    bfloat16, which NumPy lacks, is widened to float32.
    """
    if isinstance(array, np.ndarray):
        return array
    if array_api_compat.is_torch_array(array):
        tensor = array.detach().cpu()
        return np.asarray(tensor.float() if "bfloat16" in str(tensor.dtype) else tensor)
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    return np.asarray(array)


def namespace(*arrays: Any) -> Any:
    """Return the array-API namespace of arrays of one library; NumPy's for NumPy arrays."""
    return array_api_compat.array_namespace(*arrays)


def like(array: Array, other: Any) -> Any:
    """Return NumPy numbers as an array of another array's library, on its device."""
    if not array_api_compat.is_array_api_obj(other) or isinstance(other, np.ndarray):
        return array
    return namespace(other).asarray(array, device=array_api_compat.device(other), copy=True)


def like_rows(array: Array, other: Any, columns: Sequence[str]) -> Any:
    """Return new NumPy rows as an array, or a table with these columns, of another's library.

    A table of pandas keeps its index. Of lists and series it is the NumPy array.
    """
    library = type(other).__module__.partition(".")[0]
    if type(other).__name__ == "DataFrame" and library == "pandas":
        return type(other)(array, index=other.index, columns=list(columns))
    if type(other).__name__ == "DataFrame" and library == "polars":
        return type(other)(array, schema=list(columns))
    return like(array, other)


def to_device(array: Array, device: str) -> Any:
    """Return a NumPy array as it is for `cpu`, or as a torch tensor on `cuda` or `cuda:N`.

    InputError for another name, when torch is not installed, and when there is no such device.
    """
    if device == "cpu":
        return array
    kind, colon, index = device.partition(":")
    if kind != "cuda" or (bool(colon) and not is_count(index)):
        raise InputError(f"got device {device!r}, expected cpu, cuda or cuda:N")
    try:
        torch = import_module("torch")
    except ModuleNotFoundError as error:
        raise InputError(
            f"got device {device!r}, which needs torch, and torch is not installed; use cpu, or run: pip install 'intertwine[fast]'"
        ) from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        raise InputError(
            f"got device {device!r}, but torch {torch.__version__} sees {count} CUDA devices; "
            "use cpu or a lower number"
        )
    return torch.asarray(array, device=device, copy=True)


def smallest(array: Any, count: int) -> Any:
    """Return the `count` smallest numbers of each row in rising order, (rows, count).

    The array, (rows, n) with n at least `count`, may be of any library.
    """
    # The array API has no selection, and a full sort of every row is many times slower.
    if array_api_compat.is_torch_array(array):
        return array.topk(count, dim=1, largest=False, sorted=True).values
    xp = namespace(array)
    return xp.sort(xp.partition(array, count - 1, axis=1)[:, :count], axis=1)


def as_features(array: Any, *, name: str, dim: int | None = None) -> Array:
    """Check that an array of any library is features, and return it as NumPy, (n, d).

    `name` is what errors call it, `dim` the dimension it must have. float16, float32 and float64
    stay as they are; integers become float64.
    """
    _require_dense(array, name)
    try:
        features = to_numpy(array)
    except ValueError as error:
        raise InputError(f"{name}: cannot be read as an array ({one_line(error)})") from error
    if features.ndim != 2:
        hint = "; index it [:, None] for one feature a row" * (features.ndim == 1)
        raise InputError(
            f"{name}: got an array of shape {features.shape}, expected two dimensions (n, d){hint}"
        )
    if features.shape[1] == 0:
        raise InputError(f"{name}: got dimension d = 0, expected at least one feature a row")
    if dim is not None and features.shape[1] != dim:
        raise InputError(f"{name}: got dimension {features.shape[1]}, expected {dim}")
    if features.dtype.kind in "iub":
        features = features.astype(np.float64)
    if features.dtype not in _FLOATS:
        raise InputError(
            f"{name}: got dtype {features.dtype}, expected float16, float32 or float64"
        )
    return features


def device_features(array: Any, *, name: str, dim: int, on_host: bool) -> Any:
    """Check that an array is (n, dim) features; return a tensor as it is unless `on_host`.

    Arrays of other libraries, and with `on_host` all of them, become NumPy as in `as_features`.
    """
    if on_host or not array_api_compat.is_torch_array(array):
        return as_features(array, name=name, dim=dim)
    _require_dense(array, name)
    as_features(np.empty(tuple(array.shape), np.float16), name=name, dim=dim)
    if str(array.dtype).removeprefix("torch.") not in {"float16", "float32", "float64"}:
        raise InputError(f"{name}: got {array.dtype}, expected float16, float32 or float64")
    return array


def _require_dense(array: Any, name: str) -> None:
    """Raise InputError for masked and sparse arrays."""
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(
            f"{name}: got a masked array with {np.count_nonzero(array.mask)} masked numbers, expected "
            "numbers everywhere; fill them or leave the rows out, and pass .data"
        )
    if hasattr(array, "nnz") or "sparse" in str(getattr(array, "layout", "")):
        raise InputError(
            f"{name}: got a sparse {type(array).__name__} of shape {tuple(array.shape)}, expected a "
            "dense array; use its toarray() or to_dense()"
        )


def require_one_length(shapes: Mapping[str, tuple[int, ...]], what: str = "") -> None:
    """Raise InputError unless (n, d) arrays, by what to call them, have one number of rows.

    `what` begins the message.
    """
    if len({rows for rows, _ in shapes.values()}) <= 1:
        return
    got = ", ".join(f"{name} has {counted(rows, 'row')}" for name, (rows, _) in shapes.items())
    question = ""
    for name, (rows, dim) in shapes.items():
        others = [shape for other, shape in shapes.items() if other != name]
        if all(dim == n for n, _ in others) and rows not in {n for n, _ in others}:
            question = f"; {name} is ({rows}, {dim}): is it transposed?"
            break
    what = what or "rows differ between spaces: "
    raise InputError(f"{what}{got}, expected the same rows in the same order in each{question}")


def of_no_arrays(expected: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that refuses an array where a function's first argument is something else.

    The TypeError names what is `expected` and what to call `instead`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            first = next(iter((*args, *kwargs.values())), None)
            if isinstance(first, list | tuple) or hasattr(first, "__array__"):
                raise TypeError(
                    f"{function.__name__}: got an array ({type(first).__name__}), expected {expected}; "
                    f"for arrays use {instead}"
                )
            return function(*args, **kwargs)

        return call

    return decorate


def check_finite(features: Array, *, name: str, rows: int | range | Array = 0) -> None:
    """Raise an InputError that names up to five rows when (n, d) features hold NaN or infinities.

    `rows` are the row numbers for the error: that of the first row, or one for every row.
    """
    if _surely_finite(features):
        return
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        numbers = rows + bad[:5] if isinstance(rows, int) else np.asarray(rows)[bad[:5]]
        shown = ", ".join(str(row) for row in numbers)
        more = f" and {bad.size - 5} more" if bad.size > 5 else ""
        too_large = features.dtype == np.float16 and bool(np.isinf(features[bad]).any())
        hint = " (float16 holds up to 65,504: where they were larger, store float32)" * too_large
        raise InputError(
            f"{name}: NaN or infinite features in rows {shown}{more}; remove or repair these rows{hint}"
        )


def _surely_finite(features: Array) -> bool:
    """Return quickly whether all numbers are finite; False may be a false alarm."""
    if features.dtype == np.float16:
        # All exponent bits are set in NaN and infinity alone; sums of float16 are slow.
        bits = features.view(np.uint16) & np.uint16(0x7FFF)
        return bool(bits.max(initial=0) < 0x7C00)
    # Squared norms meet every NaN and infinity, quickest of all; they can themselves overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.vecdot(features, features)).all())


def unit_rows(features: Array, *, name: str, rows: int | range | Array = 0) -> Array:
    """Return (n, d) features scaled to norm 1, in float64; InputError for a row of length zero.

    `rows` are the row numbers for an error: that of the first row, or one for every row.
    """
    check_finite(features, name=name, rows=rows)
    wide = np.asarray(features, np.float64)
    # Scaled first, so that no square overflows or vanishes.
    largest = np.abs(wide).max(axis=1, keepdims=True)
    if not largest.all():
        first = int(np.flatnonzero(largest[:, 0] == 0)[0])
        row = rows + first if isinstance(rows, int) else np.asarray(rows)[first]
        raise InputError(
            f"{name}: row {row} has length zero, expected features with a direction; leave it out"
        )
    wide = wide / largest
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def resolve_precision(precision: str, *, dim: int, n_rows: int | None) -> str:
    """Return `float64`, `float32` or `fast` for the name of a precision.

    `auto` is `float64` where the joint dimension is at most 4,096 and n at most 200,000, else
    `float32`; an unknown `n_rows` counts as few.
    """
    if precision == "auto":
        small = dim <= AUTO_FLOAT64_DIMENSIONS and (n_rows or 0) <= AUTO_FLOAT64_ROWS
        return "float64" if small else "float32"
    if precision not in PRECISIONS:
        raise InputError(f"got precision {precision!r}, expected one of {', '.join(PRECISIONS)}")
    return precision


def widen(features: Array, out: Array) -> None:
    """Write finite float16 numbers into a float32 array exactly, subnormal ones too.

    `out` has the same shape and is contiguous along its last axis. NaN and infinities would become
    finite numbers above 65,504.
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
