"""Trials of the open-set study as the rows and facts of its report, with intervals over people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.metrics.fold_accuracy import weighted_means
from intertwine.metrics.intervals import bootstrap_interval
from intertwine.metrics.verification import Roc, roc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from intertwine.numerics.arrays import Array
    from intertwine.studies.open_set.data import VerificationSet
    from intertwine.studies.open_set.fold_maps import Pair
    from intertwine.studies.open_set.trials import Trial

Row = dict[str, Any]

# Points that a stored ROC keeps: enough for a smooth line in print.
ROC_POINTS = 200


FARS = {"tar_at_far_1e-2": 1e-2, "tar_at_far_1e-3": 1e-3}
_NUMBERS: dict[str, Callable[[Roc], Array]] = {
    "eer": Roc.eer,
    "auc": Roc.auc,
    **{key: partial(Roc.tar_at, far=far) for key, far in FARS.items()},
}


@dataclass(frozen=True)
class Bootstrap:
    """Replicates over people: maps and thresholds as they are, or refitted where a trial holds such.

    `weights` are (n_replicates, n_pairs), or None for no intervals.
    """

    data: VerificationSet
    weights: Array | None

    @property
    def too_fine(self) -> dict[str, str]:
        """The rates that so few mismatched pairs cannot show, each with the reason."""
        n = int((~self.data.same).sum())
        return {
            key: f"TAR at FAR {100 * far:g} % is undefined: it needs {1 / far:,.0f} mismatched pairs, "
            f"there are {n:,}"
            for key, far in FARS.items()
            if n < round(1 / far)
        }

    def accuracies(self, trial: Trial) -> Array | None:
        """Return the accuracy in each replicate, (n_replicates,)."""
        if self.weights is None:
            return None
        fold = self.data.fold
        if trial.replicates is None:
            return weighted_means(trial.accuracy.correct, fold, self.weights)
        return np.concatenate(
            [
                weighted_means(each.correct, fold, self.weights[i : i + 1])
                for i, each in enumerate(trial.replicates)
            ]
        )

    def interval(self, draws: Array | None) -> tuple[float | None, float | None]:
        """Return the interval of replicates, of which undefined ones are NaN."""
        if draws is None or self.weights is None:
            return None, None
        found = bootstrap_interval(draws[np.isfinite(draws)], len(self.weights))
        return found or (None, None)

    def curve_numbers(self, trial: Trial) -> Row:
        """Return EER, AUC and TAR at each FAR of the pooled test scores, with intervals."""
        curve = roc(trial.accuracy.scores, self.data.same)
        draws = self._curve_draws(trial)
        row: Row = {}
        too_fine = self.too_fine
        for key, number in _NUMBERS.items():
            low, high = (None, None) if key in too_fine else self.interval(draws.get(key))
            value = None if curve is None or key in too_fine else float(number(curve))
            row |= {key: value, f"{key}_low": low, f"{key}_high": high}
        return row

    def _curve_draws(self, trial: Trial) -> dict[str, Array]:
        if self.weights is None:
            return {}
        same = self.data.same
        if trial.replicates is None:
            curves = [roc(trial.accuracy.scores, same, self.weights)]
        else:
            curves = [
                roc(each.scores, same, self.weights[i : i + 1])
                for i, each in enumerate(trial.replicates)
            ]
        return {
            key: np.concatenate([number(curve) for curve in curves if curve is not None])
            for key, number in _NUMBERS.items()
            if any(curve is not None for curve in curves)
        }


def native_rows(natives: Mapping[str, Trial], bootstrap: Bootstrap) -> list[Row]:
    """Return each network verified within itself: the ceiling."""
    rows = []
    for name, trial in natives.items():
        space, info = bootstrap.data.spaces[name], bootstrap.data.info.get(name, {})
        rows.append(
            {
                "space": name,
                **_accuracy(trial, bootstrap),
                **bootstrap.curve_numbers(trial),
                "reason": "; ".join(bootstrap.too_fine.values()) or None,
                "dimension": space.dim,
                "encoder": info.get("encoder"),
            }
        )
    return rows


def _accuracy(trial: Trial, bootstrap: Bootstrap) -> Row:
    low, high = bootstrap.interval(bootstrap.accuracies(trial))
    return {
        "accuracy": trial.accuracy.mean,
        "std": trial.accuracy.std,
        "ci_low": low,
        "ci_high": high,
        "threshold": float(trial.accuracy.thresholds.mean()),
    }


def pair_rows(
    trials: Mapping[Pair, Trial],
    natives: Mapping[str, Trial],
    identities: Mapping[Pair, Trial],
    bootstrap: Bootstrap,
) -> list[Row]:
    """Return Table 6: every ordered pair, the native networks on the diagonal."""
    rows = []
    for source in natives:
        for target in natives:
            native = source == target
            trial = natives[source] if native else trials[source, target]
            plain = natives[source] if native else identities[source, target]
            low, high = bootstrap.interval(bootstrap.accuracies(plain))
            rows.append(
                {
                    "source": source,
                    "target": target,
                    **_accuracy(trial, bootstrap),
                    "identity_accuracy": plain.accuracy.mean,
                    "identity_ci_low": low,
                    "identity_ci_high": high,
                    **bootstrap.curve_numbers(trial),
                    **_changes(trial, natives[source], natives[target], bootstrap),
                    "alpha": trial.alpha,
                    "n_fit": trial.n_fit,
                }
            )
    return rows


def _changes(trial: Trial, source: Trial, target: Trial, bootstrap: Bootstrap) -> Row:
    """Return the change against both native accuracies, and the loss against the weaker."""
    mean, own, other = (each.accuracy.mean for each in (trial, source, target))
    before, after = bootstrap.accuracies(source), bootstrap.accuracies(trial)
    draws = None
    if before is not None and after is not None:
        blank = np.full(len(before), np.nan)
        draws = 100 * (np.divide(after, before, out=blank, where=before > 0) - 1)
    low, high = bootstrap.interval(draws)
    return {
        "percent_change": percent_change(mean, own),
        "percent_change_low": low,
        "percent_change_high": high,
        "percent_change_target": percent_change(mean, other),
        "loss": 100 * (min(own, other) - mean),
        "reason": "; ".join(
            [*([] if own and other else ["a native accuracy is 0"]), *bootstrap.too_fine.values()]
        )
        or None,
    }


def percent_change(after: float, before: float) -> float | None:
    """Return the change in percent, None where there was nothing before."""
    return 100 * (after / before - 1) if before else None


def fold_rows(trials: Mapping[Pair, Trial], natives: Mapping[str, Trial]) -> list[Row]:
    """Return the accuracy and threshold of every fold."""
    listed = {(name, name): trial for name, trial in natives.items()} | dict(trials)
    return [
        {
            "source": source,
            "target": target,
            "fold": fold + 1,
            "accuracy": float(accuracy),
            "threshold": float(threshold),
        }
        for (source, target), trial in listed.items()
        for fold, (accuracy, threshold) in enumerate(
            zip(trial.accuracy.accuracies, trial.accuracy.thresholds, strict=True)
        )
    ]


def roc_rows(trials: Mapping[Pair, Trial], natives: Mapping[str, Trial], same: Array) -> list[Row]:
    """Return the ROC of every pair, thinned to points evenly spaced along the curve."""
    listed = {(name, name): trial for name, trial in natives.items()} | dict(trials)
    rows = []
    for (source, target), trial in listed.items():
        curve = roc(trial.accuracy.scores, same)
        if curve is None:
            continue
        # Where the curve turns: points between two steps in one direction lie on a line.
        steps = np.diff(curve.far) > 0
        chosen = np.flatnonzero(np.append(True, steps) | np.append(steps, True))
        if len(chosen) > ROC_POINTS:
            rates = np.log10(np.maximum(curve.far[chosen], 1e-6)) + curve.tar[chosen]
            wanted = np.linspace(rates[0], rates[-1], ROC_POINTS)
            chosen = chosen[np.unique(np.clip(np.searchsorted(rates, wanted), 0, len(chosen) - 1))]
        rows.append(
            {
                "source": source,
                "target": target,
                "far": curve.far[chosen].tolist(),
                "tar": curve.tar[chosen].tolist(),
            }
        )
    return rows


def headline(pairs: list[Row]) -> Row:
    """Return the median and the worst over pairs of different networks."""
    off = [row for row in pairs if row["source"] != row["target"]]
    changes = [row["percent_change"] for row in off if row["percent_change"] is not None]
    return {
        "median_percent_change": float(np.median(changes)) if changes else None,
        "worst_percent_change": min(changes, default=None),
        "worst_loss": max(row["loss"] for row in off),
    }
