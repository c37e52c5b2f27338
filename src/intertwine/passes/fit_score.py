"""R² of the maps of a fit on rows held out, beside that of shuffled rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intertwine.errors import Doubt, InputError
from intertwine.estimators import Fitter
from intertwine.maps.map_pair import MapPair
from intertwine.parallel.threads import parallel_map
from intertwine.passes.held_out import LEAST_ROWS, Explained, HeldOut, order_question, score
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.estimators import FitOptions
    from intertwine.moments.moments import Moments
    from intertwine.spaces import Head

# Methods that no pair of features has a say in.
UNFITTED = frozenset({"analytic", "identity", "mean"})
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
        found: dict[str, Explained] = {}
        for alpha in dict.fromkeys(alphas.values()):
            targets = [name for name, value in alphas.items() if value == alpha]
            own = alpha if self.is_ridge else None
            found |= self.held.check.explained(source, targets, own)
        entries, n = [], self.held.moments.n
        for each in maps:
            target = each["target"]
            if target not in found:
                entries.append(_entry(each, n, None, None, _CONSTANT))
            elif self.is_ridge:
                entries.append(_entry(each, n, found[target].r2, found[target].null, None))
            else:
                entries.append(_entry(each, n, *self._refitted(source, target, alphas[target])))
        return entries, self._doubts(source, found, alphas)

    def _doubts(
        self, source: str, found: Mapping[str, Explained], alphas: Mapping[str, float]
    ) -> list[str]:
        """Return doubts about maps that explain nothing: rows that do not match, or a wrong λ."""
        low = [name for name, each in found.items() if each.is_chance or each.r2 <= 0]
        again = self.held.check.explained(source, low) if self.is_ridge and low else found
        doubts: list[str] = []
        for name in low:
            other = again[name]
            if found[name].is_chance and other.is_chance:
                doubts.append(Doubt(order_question(source, name)))
            elif self.is_ridge and found[name].r2 <= 0 < other.r2 and not other.is_chance:
                doubts.append(Doubt(_other_penalty(source, name, alphas[name], found[name], other)))
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
