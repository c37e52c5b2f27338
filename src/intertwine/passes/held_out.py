"""R² of the maps of a fit on rows that they were not fitted on, beside that of shuffled rows.

The rows held out are subtracted from the moments, so no row is read twice but those few.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from intertwine.errors import Doubt, InputError
from intertwine.estimators import Fitter
from intertwine.estimators.methods import UNFITTED
from intertwine.features.rows import nested_subsets
from intertwine.maps.map_pair import MapPair
from intertwine.parallel.threads import parallel_map
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intertwine.estimators import FitOptions
    from intertwine.features.feature_set import FeatureSet
    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head

# Rows held out: this share, no more than this number, and of no fewer than so many rows in all.
SHARE, MOST_ROWS, LEAST_ROWS = 0.2, 256, 10
# Standard deviations above what shuffled rows explain.
CHANCE_Z = 3.0
# What float32 products leave of a feature's own scatter.
_ROUNDING = 1e-6
# A scatter below this is none.
_SMALLEST = 1e-30
_NO_ROWS = "a file of moments has no rows that could be held out"
_CONSTANT = "the target does not vary over the rows held out, or not within what float64 holds"

Entry = dict[str, Any]


def with_scores(
    maps: Sequence[Entry],
    moments: Moments,
    held: HeldOut | None,
    options: FitOptions,
    heads: Mapping[str, Head],
    *,
    has_rows: bool,
) -> tuple[list[Entry], list[str]]:
    """Return entries of maps with `r2` (held out), `r2_null`, `alpha` and `n`, and doubts.

    `moments` are those that the maps were fitted on, `held` the rows held out and the statistics of
    the others, None where there are none; `has_rows` is False for a file of moments.
    """
    reason = None
    if options.method in UNFITTED:
        reason = f"{options.method} is not fitted to pairs of rows"
    elif options.method == "self-training":
        reason = "self-training is judged by the ranks of pairs that it leaves out"
    elif held is None:
        least = f"{counted(moments.n, 'row is', 'rows are')} too few to hold some out, expected at least {LEAST_ROWS}"
        reason = least if has_rows else _NO_ROWS
    if held is None or reason is not None:
        return [_entry(each, moments.n, None, None, reason) for each in maps], []
    sources = list(dict.fromkeys(each["source"] for each in maps))
    scorer = _Scorer(held, options, heads)
    parts = parallel_map(
        lambda source: scorer.of_source(source, [m for m in maps if m["source"] == source]), sources
    )
    return (
        [entry for entries, _ in parts for entry in entries],
        [doubt for _, doubts in parts for doubt in doubts],
    )


def _entry(each: Entry, n: int, r2: float | None, null: float | None, reason: str | None) -> Entry:
    alpha = each["info"].get("alpha")
    return {**each, "r2": r2, "r2_null": null, "alpha": alpha, "n": n, "reason": reason}


class _Scorer:
    """Maps fitted once more without the rows held out, each with the λ of the map itself."""

    def __init__(self, held: HeldOut, options: FitOptions, heads: Mapping[str, Head]) -> None:
        self.held, self.options, self.heads = held, options, heads
        plain = options.intercept == "free" and options.prior is None
        self.is_ridge = plain and options.method in {"ridge", "least-squares"}

    def of_source(self, source: str, maps: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
        """Return the entries of the maps from one source, scored, and doubts about them."""
        alphas = {m["target"]: m["info"].get("alpha") or 0.0 for m in maps}
        explained: dict[str, Explained] = {}
        for alpha in dict.fromkeys(alphas.values()):
            targets = [name for name, value in alphas.items() if value == alpha]
            penalty = alpha if self.is_ridge else None
            explained |= self.held.check.explained(source, targets, penalty)
        entries, n = [], self.held.moments.n
        for each in maps:
            target = each["target"]
            if target not in explained:
                entries.append(_entry(each, n, None, None, _CONSTANT))
            elif self.is_ridge:
                entries.append(_entry(each, n, explained[target].r2, explained[target].null, None))
            else:
                entries.append(_entry(each, n, *self._refitted(source, target, alphas[target])))
        return entries, self._doubts(source, explained, alphas)

    def _doubts(
        self, source: str, explained: Mapping[str, Explained], alphas: Mapping[str, float]
    ) -> list[str]:
        """Return doubts about maps that explain nothing: rows that do not match, or a wrong λ."""
        low = [name for name, each in explained.items() if each.is_chance or each.r2 <= 0]
        again = self.held.check.explained(source, low) if self.is_ridge and low else explained
        doubts: list[str] = []
        for name in low:
            other = again[name]
            if explained[name].is_chance and other.is_chance:
                doubts.append(Doubt(order_question(source, name)))
            elif self.is_ridge and explained[name].r2 <= 0 < other.r2 and not other.is_chance:
                doubts.append(
                    Doubt(_other_penalty(source, name, alphas[name], explained[name], other))
                )
        return doubts

    def _refitted(
        self, source: str, target: str, alpha: float
    ) -> tuple[float | None, float | None, str | None]:
        """Return R² and its null of a map fitted without the rows held out, or why there is none."""
        options = replace(self.options, alpha=alpha or self.options.alpha)
        try:
            rest = self.held.rest([source, target])
            fitted = Fitter(options, self.heads).fit(rest, source, [target])[target]
        except InputError as error:
            return None, None, str(error)
        linear_map = fitted.to_map() if isinstance(fitted, MapPair) else fitted
        predicted = linear_map.apply(self.held.rows[source])
        r2, null = score(predicted, self.held.rows[target])
        return r2, null, _CONSTANT if r2 is None else None


def _other_penalty(
    source: str, target: str, alpha: float, found: Explained, other: Explained
) -> str:
    return (
        f"{source} → {target} explains nothing with λ = {alpha:.3g} (R² of rows held out {found.r2:.2f}), "
        f"but with another λ it would (R² {other.r2:.2f}): try --alpha gcv"
    )


class Statistics(Protocol):
    """Count, mean and centred scatter of the rows that maps are fitted on, as `Moments` has them."""

    @property
    def n(self) -> int: ...  # noqa: D102
    def mean(self, name: str) -> Array: ...  # noqa: D102
    def scatter(self, a: str, b: str | None = None) -> Array: ...  # noqa: D102


@dataclass(frozen=True)
class Rest:
    """The statistics of all rows but some.

    `moments` are those of all rows, `rows` (k, d) float64 by space those to leave out.
    """

    moments: Moments
    rows: Mapping[str, Array]

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.moments.n - self._left_out

    @property
    def _left_out(self) -> int:
        return len(next(iter(self.rows.values())))

    def mean(self, name: str) -> Array:
        """Return the mean of a space, (d,)."""
        total = self.moments.n * self.moments.mean(name) - self.rows[name].sum(axis=0)
        return np.asarray(total / self.n)

    def scatter(self, a: str, b: str | None = None) -> Array:
        """Return the centred scatter of two spaces, (d_a, d_b); b is a when omitted."""
        b = a if b is None else b
        one, other = (self.rows[name] - self.moments.mean(name) for name in (a, b))
        rest = self.moments.scatter(a, b) - one.T @ other
        rest -= np.outer(one.sum(axis=0), other.sum(axis=0) / self.n)
        return np.asarray(rest)


@dataclass(frozen=True)
class Explained:
    """R² of a map on rows that it was not fitted on.

    R² = 1 − Σ‖B − B̂‖² / Σ‖B − mean(B)‖², the mean taken on these rows; `null` and `spread` are its
    mean and about its standard deviation where the fit rows of the target are shuffled.
    """

    r2: float
    null: float
    spread: float

    @property
    def is_chance(self) -> bool:
        """Whether shuffled rows would do as well."""
        return self.r2 < self.null + CHANCE_Z * self.spread


@dataclass
class RidgeCheck:
    """Ridge maps fitted on some rows, scored on others, with the score of shuffled fit rows.

    With the fit rows of the target in random order Σ(x − μ)(y − ν)ᵀ has mean zero and covariance
    S_A ⊗ S_B/(n − 1) over all orders, exactly. R² then has mean 1 − [Σ‖y − ν‖² + tr(S_B)/(n − 1) ·
    Σ xᵀ(S_A + λ)⁻¹S_A(S_A + λ)⁻¹x] / Σ‖y − ȳ‖².

    `fitted` are the statistics of the fit rows, `rows` (k, d) float64 by space the rows to score.
    """

    fitted: Statistics
    rows: Mapping[str, Array]
    _targets: dict[str, tuple[Array, Array, float, float]] = field(default_factory=dict, repr=False)

    def explained(
        self, source: str, targets: Iterable[str], alpha: float | None = None
    ) -> dict[str, Explained]:
        """Return the scores of maps from one source, by target that varies.

        λ is the mean eigenvalue of the source's scatter when omitted.
        """
        fitted, gram = self.fitted, self.fitted.scatter(source)
        if alpha is None:
            alpha = float(np.trace(gram)) / max(min(fitted.n, len(gram)), 1)
        x = self.rows[source] - fitted.mean(source)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            solved = _solve(gram, x.T, alpha)
            energy = solved.T @ (gram @ solved)
            scores = {name: self._one(source, name, solved, energy) for name in targets}
        return {name: each for name, each in scores.items() if each is not None}

    def _one(self, source: str, name: str, solved: Array, energy: Array) -> Explained | None:
        y, alike, trace, square = self._target(name)
        total = float(((y - y.mean(axis=0)) ** 2).sum())
        if total <= _SMALLEST:
            return None
        error = y - solved.T @ self.fitted.scatter(source, name)
        free = max(self.fitted.n - 1, 1)
        by_chance = float((y**2).sum()) + float(np.trace(energy)) * trace / free
        variance = 4 * float((energy * alike).sum()) / free
        variance += 2 * float((energy**2).sum()) * square / free**2
        spread = float(np.sqrt(max(variance, 0.0))) / total
        r2, null = 1 - float((error**2).sum()) / total, 1 - by_chance / total
        return Explained(r2, null, spread) if np.isfinite([r2, null, spread]).all() else None

    def _target(self, name: str) -> tuple[Array, Array, float, float]:
        """Return a target's rows about the fitted mean, y S yᵀ, tr S and tr S²."""
        if name not in self._targets:
            y, scatter = self.rows[name] - self.fitted.mean(name), self.fitted.scatter(name)
            self._targets[name] = (
                y,
                y @ scatter @ y.T,
                float(np.trace(scatter)),
                float((scatter**2).sum()),
            )
        return self._targets[name]


def _solve(gram: Array, right: Array, alpha: float) -> Array:
    """Return (S + λI)⁻¹R, λ no less than the rounding of a null direction."""
    shifted = gram.copy()
    diagonal = np.diag_indices_from(shifted)
    # Of each feature on its own scale, so that a large one does not drown the others.
    scales = gram.diagonal()
    least = _ROUNDING * np.where(scales > 0, scales, 1.0)
    shifted[diagonal] += np.maximum(alpha, least)
    while True:
        try:
            return np.asarray(cho_solve(cho_factor(shifted, lower=True), right))
        except np.linalg.LinAlgError:
            least *= 10
            shifted[diagonal] += least


@dataclass
class HeldOut:
    """Rows of a feature set that are held out, and the moments of all rows.

    `rows` are (k, d) float64 by space.
    """

    moments: Moments
    rows: dict[str, Array]

    @classmethod
    def of(cls, feature_set: FeatureSet, moments: Moments) -> HeldOut | None:
        """Hold out rows by the hashes of their ids; None where there are too few."""
        n = feature_set.n
        if n < LEAST_ROWS:
            return None
        count = min(MOST_ROWS, int(SHARE * n))
        (chosen,) = nested_subsets(feature_set.id_hashes, [count])
        rows = feature_set.read(moments.spaces, chosen)
        return cls(moments, {name: array.astype(np.float64) for name, array in rows.items()})

    @cached_property
    def check(self) -> RidgeCheck:
        """Ridge maps fitted on the other rows."""
        return RidgeCheck(Rest(self.moments, self.rows), self.rows)

    def rest(self, names: Iterable[str]) -> Moments:
        """Return the moments of the other rows, of some spaces."""
        names = list(names)
        whole = self.moments.select(names)
        part = type(whole)(whole.spaces.values(), precision="float64", origin=whole.origin)
        part.update({name: self.rows[name] for name in names})
        return whole - part


def score(predicted: Array, actual: Array) -> tuple[float | None, float | None]:
    """Return R² of predictions, and its mean over all orders of the rows predicted."""
    spread = actual - actual.mean(axis=0)
    total = float((spread**2).sum())
    if total <= _SMALLEST:
        return None, None
    about = predicted - actual.mean(axis=0)
    by_chance = total + float((about**2).sum())
    return 1 - float(((actual - predicted) ** 2).sum()) / total, 1 - by_chance / total


def order_question(source: str, target: str, *, of: str = "") -> str:
    """Return the question to ask where a map is at chance."""
    return (
        f"{source} → {target} explains nothing{of}: are the rows of {source}.npy and {target}.npy the "
        "same items in the same order?"
    )
