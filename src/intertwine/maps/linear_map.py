"""Affine maps from one embedding space to another, and maps prepared for many chunks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from intertwine.errors import InputError
from intertwine.numerics.arrays import (
    as_features,
    check_finite,
    like,
    like_rows,
    namespace,
    require_one_length,
    to_device,
    to_numpy,
    widened,
)
from intertwine.numerics.linalg import unit
from intertwine.spaces import SPACE, Space
from intertwine.storage.files import read_header, read_tensors, write_tensors
from intertwine.storage.untrusted import damage_as_error, require_shape

if TYPE_CHECKING:
    from intertwine.numerics.arrays import Array

# Rows mapped at a time: bounds the float64 copy that a product makes.
CHUNK_ROWS = 8192
# What the header of a map's file holds, as far as this program reads it.
HEADER = {
    "source": SPACE,
    "target": SPACE,
    "method": str,
    "info": {"plan?": (dict, None), "notes?": [str], "n?": (int, None)},
    "fitted_on?": {"rows": int, "ids": ([str], None), "features": [str]},
    "created?": str,
}
# The kind of file of a map that scales its input: programs that do not know it refuse the file.
PLAIN, OF_DIRECTIONS = "map", "map of directions"
STATISTICS = ("source_mean", "source_spread", "source_directions")


@dataclass(frozen=True)
class LinearMap:
    """An affine map of features: x ↦ weight · x + bias.

    Parameters
    ----------
    weight
        (d_target, d_source) float64.
    bias
        (d_target,) float64.
    source, target
        The spaces that it maps from and to.
    method
        The method that made it, for example `ridge`.
    info
        JSON-ready facts: alpha, n, intercept, rank, notes.
    source_mean, source_spread
        (d_source,) mean and standard deviation of the features it was fitted on, by which vectors
        of another space are recognised; None when unknown.
    source_directions
        (k, d_source) orthogonal directions in which those features vary most, as long as their
        standard deviation there; None when unknown.
    unit_source
        Whether features are scaled to length 1 before the map, x ↦ weight · x/‖x‖ + bias; the
        statistics of the source are then those of scaled features. A zero vector stays zero.
    fitted_on
        What identifies the rows that it was fitted on, as
        `intertwine.features.fitted_on.fitted_on` returns it; None when unknown.
    """

    weight: Array
    bias: Array
    source: Space
    target: Space
    method: str
    info: dict[str, Any] = field(default_factory=dict)
    source_mean: Array | None = None
    source_spread: Array | None = None
    source_directions: Array | None = None
    unit_source: bool = False
    fitted_on: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        expected = (self.target.dim, self.source.dim)
        if self.weight.shape != expected or self.bias.shape != expected[:1]:
            raise InputError(
                f"map {self.name}: got weight {self.weight.shape} and bias {self.bias.shape}, "
                f"expected {expected} and {expected[:1]}"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise InputError(f"map {self.name}: NaN or infinite weights")

    @property
    def name(self) -> str:
        """`SOURCE--TARGET`, the stem of its file."""
        return f"{self.source.name}--{self.target.name}"

    def prepared(self, features: Array) -> Array:
        """Return features, (n, d_source), as they are multiplied: of length 1 if `unit_source`."""
        return unit(features) if self.unit_source else features

    def require_affine(self, use: str) -> None:
        """Raise if features are scaled first, which a use of the bare weights would omit.

        Parameters
        ----------
        use
            What cannot be done, such as `an inverse`.

        Raises
        ------
        InputError
            Naming the map and the use.
        """
        if self.unit_source:
            raise InputError(
                f"map {self.name}: scales vectors to length 1 before it maps them, which {use} cannot "
                "do; scale the vectors yourself and plan or fit on these"
            )

    @overload
    def apply(self, features: Array, *, out: Array | None = None, first_row: int = 0) -> Array: ...
    @overload
    def apply(self, features: Any, *, out: Array | None = None, first_row: int = 0) -> Any: ...
    def apply(self, features: Any, *, out: Array | None = None, first_row: int = 0) -> Any:
        """Map features.

        Parameters
        ----------
        features
            (n, d_source) array of any array library, or a table of numbers; or one vector,
            (d_source,).
        out
            (n, d_target) floating-point NumPy array to fill; made when omitted.
        first_row
            Row number of the first row, for an error, when they are a chunk of a file.

        Returns
        -------
        mapped
            (n, d_target), or (d_target,) for one vector; of the features' dtype when made here,
            float32 at least. A tensor is returned as a tensor on its device, without a gradient
            (`intertwine.maps.exports.torch_linear` has one); a table as a table with its index and
            columns `TARGET_0` …; lists as NumPy.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity, or numbers that do not fit `out`'s dtype.
        """
        one = len(getattr(features, "shape", None) or np.shape(features)) == 1
        rows = as_features(
            to_numpy(features)[None] if one else features,
            name=f"input of map {self.name}",
            dim=self.source.dim,
        )
        if out is not None:
            self._fill(rows, out[None] if one and out.ndim == 1 else out, first_row)
            return out
        mapped = np.empty((len(rows), self.target.dim), np.promote_types(rows.dtype, np.float32))
        self._fill(rows, mapped, first_row)
        columns = [f"{self.target.name}_{i}" for i in range(self.target.dim)]
        return like_rows(mapped[0] if one else mapped, features, columns)

    __call__ = apply

    def _fill(self, rows: Array, out: Array, first_row: int) -> None:
        """Map NumPy rows, (n, d_source), into `out`."""
        if out.shape != (len(rows), self.target.dim):
            raise InputError(
                f"got out of shape {out.shape}, expected {(len(rows), self.target.dim)}"
            )
        if out.dtype.kind != "f":
            raise InputError(f"got out of dtype {out.dtype}, expected a floating-point one")
        ready = self.ready_for(rows.dtype)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            ready.apply(rows[part], out[part], first_row=first_row + start)

    def score(self, features: Any, targets: Any) -> float:
        """Return R² of the mapped features against the target's own.

        Parameters
        ----------
        features
            (n, d_source) array of any library.
        targets
            (n, d_target) array, the same rows in the target space.

        Returns
        -------
        r2
            1 − Σ‖B − B̂‖² / Σ‖B − mean(B)‖², summed over rows and dimensions, the mean taken on
            these rows: 1 for a perfect map, 0 for one as good as the mean.

        Raises
        ------
        InputError
            For a wrong shape, NaN or infinity, and targets that do not vary.
        """
        name = f"targets of map {self.name}"
        actual = as_features(targets, name=name, dim=self.target.dim).astype(np.float64)
        check_finite(actual, name=name)
        predicted = to_numpy(self.apply(to_numpy(features))).astype(np.float64)
        require_one_length({"features": predicted.shape, "targets": actual.shape}, "got ")
        total = float(((actual - actual.mean(axis=0)) ** 2).sum())
        if total <= 0:
            raise InputError(f"{name}: do not vary over {len(actual)} rows: R² is undefined")
        return 1 - float(((actual - predicted) ** 2).sum()) / total

    def __repr__(self) -> str:
        ends = f"{self.source.name} ({self.source.dim}) → {self.target.name} ({self.target.dim})"
        return f"<LinearMap {ends}: {', '.join([self.method, *facts_of(self.info)])}>"

    def ready_for(self, dtype: Any, *, device: str = "cpu") -> ReadyMap:
        """Return this map with weights of the type in which features of a type are multiplied.

        float32 products lose nothing that float16 or float32 features still hold.
        """
        work = np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)
        with np.errstate(over="ignore"):
            weight = np.ascontiguousarray(self.weight.T, dtype=work)
            bias = self.bias.astype(work)
            gain = np.linalg.norm(weight, axis=0).max(initial=0)
        return ReadyMap(
            to_device(weight, device),
            to_device(bias, device),
            self.name,
            float(gain),
            self.unit_source,
        )

    def compose(self, inner: LinearMap) -> LinearMap:
        """Return the map that applies `inner` first and this one after it.

        Raises
        ------
        SpaceMismatchError
            When `inner` does not map into this map's source.
        InputError
            When this map scales its input to length 1.
        """
        self.source.require(inner.target)
        self.require_affine("a composition after another map")
        return LinearMap(
            weight=self.weight @ inner.weight,
            bias=self.weight @ inner.bias + self.bias,
            source=inner.source,
            target=self.target,
            method=f"{inner.method}, {self.method}",
            info={"through": self.source.name, "maps": [inner.info, self.info]},
            source_mean=inner.source_mean,
            source_spread=inner.source_spread,
            source_directions=inner.source_directions,
            unit_source=inner.unit_source,
        )

    def inverse(self) -> LinearMap:
        """Return the map back: weight⁺ (y − bias), the exact inverse where one exists.

        Where several x lead to one y it is the x nearest the source's mean, when that is known,
        else the x of least norm.

        Raises
        ------
        InputError
            When the map scales its input to length 1.
        """
        self.require_affine("an inverse")
        # NumPy's own cut, 1e-15, keeps the rounding of a low-rank weight.
        cut = max(self.weight.shape) * np.finfo(np.float64).eps
        back = np.linalg.pinv(self.weight, rcond=cut)
        bias = -back @ self.bias
        if self.source_mean is not None:
            bias += self.source_mean - back @ (self.weight @ self.source_mean)
        mean = spread = None
        if self.source_mean is not None and self.source_spread is not None:
            mean = self.weight @ self.source_mean + self.bias
            # Without the source's covariances this is the spread of independent features.
            spread = np.sqrt(self.weight**2 @ self.source_spread**2)
        return LinearMap(
            weight=back,
            bias=bias,
            source=self.target,
            target=self.source,
            method=f"inverse of {self.method}",
            info={"inverse_of": self.info},
            source_mean=mean,
            source_spread=spread,
        )

    def with_info(self, **facts: Any) -> LinearMap:
        """Return the same map with facts added to `info`."""
        return replace(self, info={**self.info, **facts})

    # -- files ----------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that its file holds."""
        statistics = {name: getattr(self, name) for name in STATISTICS}
        known = {name: array for name, array in statistics.items() if array is not None}
        return {"weight": self.weight, "bias": self.bias, **known}

    def header(self) -> dict[str, Any]:
        """Return the header that its file holds."""
        return {
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "method": self.method,
            "info": self.info,
            **({} if self.fitted_on is None else {"fitted_on": self.fitted_on}),
        }

    def save(self, path: str | os.PathLike[str], *, created: datetime | None = None) -> None:
        """Write the map as one checked safetensors file with a readable header.

        Parameters
        ----------
        path
            The file to write.
        created
            The date the header states; now when omitted.
        """
        header = {**self.header(), "created": date_text(created)}
        kind = OF_DIRECTIONS if self.unit_source else PLAIN
        write_tensors(path, self.tensors(), kind=kind, header=header)

    @classmethod
    def from_parts(cls, tensors: dict[str, Array], header: dict[str, Any]) -> LinearMap:
        """Return the map that `tensors` and `header` describe.

        Raises
        ------
        InputError
            For arrays that do not fit each other.
        """
        dim = int(header["source"]["dim"])
        for name, tensor in tensors.items():
            if tensor.dtype != np.float64 or (name in STATISTICS and tensor.shape[-1:] != (dim,)):
                raise InputError(
                    f"{name} is {tensor.dtype} of shape {tensor.shape}, expected float64 for "
                    f"dimension {dim}"
                )
        statistics: dict[str, Any] = {name: tensors.get(name) for name in STATISTICS}
        return cls(
            weight=tensors["weight"],
            bias=tensors["bias"],
            source=Space.from_json(header["source"]),
            target=Space.from_json(header["target"]),
            method=header["method"],
            info={
                **header["info"],
                **({"created": header["created"]} if "created" in header else {}),
            },
            fitted_on=header.get("fitted_on"),
            **statistics,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearMap:
        """Read a map that `save` wrote.

        Raises
        ------
        FileFormatError
            When the file is altered, cut, or of another kind.
        """
        scaled = read_header(path).get("kind") == OF_DIRECTIONS
        tensors, header = read_tensors(path, kind=OF_DIRECTIONS if scaled else PLAIN)
        require_shape(header, HEADER, path)
        with damage_as_error(path, "a map"):
            return replace(cls.from_parts(tensors, header), unit_source=scaled)


@dataclass(frozen=True)
class ReadyMap:
    """A map whose weights are prepared for many chunks of features, on a device.

    `weight` is (d_source, d_target), NumPy or a tensor, `bias` (d_target,). `gain` is the largest
    norm of the weights of one target feature: by Cauchy and Schwarz no mapped feature of a row is
    larger than the row's norm times this, plus the bias.
    """

    weight: Any
    bias: Any
    name: str
    gain: float
    unit_source: bool = False

    def apply(self, rows: Array, out: Array, *, first_row: int = 0) -> None:
        """Map a chunk, (n, d_source), into `out`, (n, d_target).

        InputError for NaN or infinity, or numbers that do not fit `out`'s dtype.
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
        """Map a chunk by NumPy; return whether every number is certain to fit `out`."""
        if rows.dtype == np.float16:
            self._check_input(rows, first_row)
        features = self._scaled(widened(rows).astype(self.weight.dtype, copy=False))
        # Squared norms show NaN and infinity here, and numbers too large for the output.
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
        """Return rows of length 1 if `unit_source`; their squares are added in float64."""
        if not self.unit_source:
            return rows
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None], self.weight_dtype)

    @property
    def weight_dtype(self) -> Any:
        """The NumPy dtype in which rows are multiplied."""
        name = str(self.weight.dtype).rsplit(".", maxsplit=1)[-1]
        return np.dtype(name)

    def _check_input(self, rows: Array, first_row: int) -> None:
        check_finite(rows, name=f"input of map {self.name}", rows=first_row)


def facts_of(info: dict[str, Any]) -> list[str]:
    """Return what a map records of its fit, as short texts: λ, rows, R² of rows held out."""
    facts = []
    if isinstance(info.get("alpha"), float | int):
        low, high = (info.get(key, info["alpha"]) for key in ("alpha_min", "alpha_max"))
        each = f" ({low:.3g} to {high:.3g})" if low != high else ""
        facts.append(f"λ {info['alpha']:.3g}{each}")
    if isinstance(info.get("n"), int):
        facts.append(f"n {info['n']:,}")
    if info.get("r2") is not None:
        null = info.get("r2_null")
        by_chance = "" if null is None else f" (shuffled rows {null:.3f})"
        facts.append(f"R² held out {info['r2']:.3f}{by_chance}")
    return [fact.replace("-", "−") for fact in facts]


def date_text(created: datetime | None) -> str:
    """Return a date as ISO 8601 with seconds; now, or SOURCE_DATE_EPOCH, when None."""
    return (created or _now()).isoformat(timespec="seconds")


def _now() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"got SOURCE_DATE_EPOCH {epoch[:20]!r}, expected seconds since 1970 of a year up to 9999"
        ) from error
