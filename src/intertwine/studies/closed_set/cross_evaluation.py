"""Every network's features through every other network's classifier: fitting and counting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import Doubt
from intertwine.estimators import Fitter, HeadFactor, identity, mean_vector
from intertwine.estimators.methods import UNFITTED
from intertwine.features.rows import nested_subsets
from intertwine.maps.map_pair import MapPair
from intertwine.moments.accumulators import Products
from intertwine.moments.moments import Moments
from intertwine.parallel.threads import parallel_map
from intertwine.passes.held_out import MOST_ROWS, RidgeCheck, order_question
from intertwine.passes.moments.joint import add_rows, empty_moments
from intertwine.studies.closed_set import fresh
from intertwine.studies.closed_set.scoring import (
    Classifier,
    Counts,
    count,
    predict,
    residuals,
    total_spread,
)
from intertwine.studies.label_check import label_doubts

if TYPE_CHECKING:
    from intertwine.estimators import FitOptions
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.workers import Workers
    from intertwine.spaces import Head
    from intertwine.studies.closed_set.data import ClosedSetData

Progress = Callable[[str, int, int], None]
# An R² above this is no chance.
LOW_R2 = 0.1
Scored = dict[tuple[str, str, str], Counts]


@dataclass
class PairScore:
    """One ordered pair, scored: the counts of the mapped features in the target's head.

    `info` is what the map records of itself; `r2`, on the evaluation rows, is None where it was not
    asked for or is undefined.
    """

    source: str
    target: str
    counts: Counts
    info: dict[str, Any]
    r2: float | None = None


class CrossEvaluation:
    """The state of one study: moments that grow, and what stays the same while they do.

    Sources are fitted and scored in parallel, one BLAS thread each: results then do not depend on
    how many cores there are, and other work on the machine slows them down no more than its share.
    """

    def __init__(
        self,
        data: ClosedSetData,
        options: FitOptions,
        *,
        precision: str,
        device: str,
        workers: Workers | None,
        progress: Progress,
    ) -> None:
        self.data, self.progress, self.device, self.workers = data, progress, device, workers
        fresh_head = fresh.fresh_head(data.heads[data.names[0]].classes)
        self.heads = {**data.heads, fresh.NAME: fresh_head}
        self.fitter = Fitter(options, self.heads)
        self.moments = _moments(data, precision, device)
        self.precision = precision
        self.predictions: dict[str, Array] = {}
        for i, name in enumerate(data.names):
            progress("native accuracy", i, len(data.names))
            self.predictions[name] = predict(
                data.evaluation, name, data.heads[name], precision=precision, device=device
            )
        self.natives = {name: self._native(name) for name in data.names}
        self._spread: dict[str, float] = {}
        self._at_chance: list[tuple[str, str]] = []

    def _native(self, name: str) -> Counts:
        classifiers = {name: Classifier.of_head(self.heads[name])}
        return self._count(name, classifiers)[name]

    def _count(
        self,
        source: str,
        classifiers: dict[str, Classifier],
        targets: dict[str, str] | None = None,
        *,
        precision: str | None = None,
    ) -> dict[str, Counts]:
        return count(
            self.data.evaluation,
            source,
            classifiers,
            labels=self.data.labels,
            predictions=self.predictions,
            targets=targets,
            precision=precision or self.precision,
            device=self.device,
        )

    def add(self, ring: Array, step: int, sizes: list[int]) -> None:
        """Add the rows of one ring to the moments."""
        done = sizes[step - 1] if step else 0
        add_rows(
            self.moments,
            self.data.fit,
            ring,
            extra_features=partial(fresh.extra_features, dim=self.data.n_classes),
            workers=self.workers,
            progress=lambda more, _: self.progress("joint moments", done + more, sizes[-1]),
        )

    def cells(self, *, full: bool) -> list[PairScore]:
        """Fit and score every ordered pair on the rows so far; with `full`, R² and the contrast."""
        self.moments.flush()  # before several threads read them
        if full:
            self._spread = total_spread(self.data.evaluation, self.data.names)
        rows = parallel_map(lambda source: self._row(source, full=full), self.data.names)
        return [cell for row in rows for cell in row]

    def _row(self, source: str, *, full: bool) -> list[PairScore]:
        """Fit and score the maps from one source."""
        targets = [name for name in self.data.names if name != source]
        if full and source not in self.data.controls:
            targets.append(fresh.NAME)
        fitted = self.fitter.fit(self.moments, source, targets)
        maps = {name: _one_map(fitted[name]) for name in targets}
        folded = {name: Classifier.folded(maps[name], self.heads[name]) for name in targets}
        # A point inside the curve needs no more than float32, unless another precision is asked for.
        inside = "float32" if self.precision == "auto" else self.precision
        counts = self._count(source, folded, precision=None if full else inside)
        r2 = self._r2(source, maps) if full else {}
        return [
            PairScore(source, name, counts[name], maps[name].info, r2.get(name)) for name in targets
        ]

    def _r2(self, source: str, maps: dict[str, LinearMap]) -> dict[str, float]:
        data = self.data
        real = {name: linear_map for name, linear_map in maps.items() if name != fresh.NAME}
        rss = residuals(data.evaluation, source, real, precision=self.precision)
        spread = self._spread
        r2 = {name: 1 - rss[name] / spread[name] for name in real if spread[name] > 0}
        if self.fitter.options.method not in UNFITTED:
            self._at_chance += [(source, name) for name in self._unexplained(source, r2)]
        return r2

    def _unexplained(self, source: str, r2: dict[str, float]) -> list[str]:
        """Return the networks that a source's maps are at chance for."""
        networks = self.data.networks
        low = [name for name in r2 if r2[name] < LOW_R2 and {source, name} <= set(networks)]
        if not low:
            return []
        evaluation = self.data.evaluation
        (rows,) = nested_subsets(evaluation.id_hashes, [MOST_ROWS])
        sample = evaluation.read([source, *low], rows)
        check = RidgeCheck(self.moments, {a: part.astype(float) for a, part in sample.items()})
        return [name for name, each in check.explained(source, low).items() if each.is_chance]

    def doubts(self) -> list[str]:
        """Return doubts about labels and about the order of rows; call it after the last cells."""
        data = self.data
        found = [
            doubt
            for name in data.networks
            for doubt in label_doubts(name, self.predictions[name], data.labels, data.n_classes)
        ]
        of = " of the evaluation rows"
        return found + [Doubt(order_question(*pair, of=of)) for pair in sorted(self._at_chance)]

    def baselines(self) -> Scored:
        """Score doing nothing and answering the mean, by (baseline, source, target)."""
        rows = parallel_map(self._baselines_of, self.data.names)
        return {key: counts for row in rows for key, counts in row.items()}

    def _baselines_of(self, source: str) -> Scored:
        spaces = self.data.evaluation.spaces
        others = [name for name in self.data.names if name != source]
        maps = {("identity", a): identity(spaces[source], spaces[a]) for a in others}
        maps |= {("mean", a): mean_vector(self.moments, source, a) for a in others}
        keys = {f"{kind} {a}": (kind, a) for kind, a in maps}
        folded = {
            key: Classifier.folded(maps[pair], self.heads[pair[1]]) for key, pair in keys.items()
        }
        counts = self._count(source, folded, {key: a for key, (_, a) in keys.items()})
        return {(kind, source, a): counts[key] for key, (kind, a) in keys.items()}

    def analytic(self) -> dict[tuple[str, str, str], tuple[Counts, int]]:
        """Score the analytic map: counts and the head's rank, by (form, source, target)."""
        self.progress("analytic map", 0, 1)
        names = [*self.data.names, fresh.NAME]
        tasks = [(form, target) for target in names for form in ("affine", "homogeneous")]
        parts = parallel_map(lambda task: self._analytic_into(*task), tasks)
        self.progress("analytic map", 1, 1)
        return {key: value for part in parts for key, value in part.items()}

    def _analytic_into(
        self, form: str, target: str
    ) -> dict[tuple[str, str, str], tuple[Counts, int]]:
        factor = HeadFactor.of(self.heads[target], form)
        scored = {}
        for source in self.data.names:
            if source != target:
                classifier = _analytic_classifier(self.heads[source], factor)
                counts = self._count(source, {target: classifier})[target]
                scored[form, source, target] = (counts, factor.rank)
        return scored


def _moments(data: ClosedSetData, precision: str, device: str) -> Moments:
    """Return empty moments of the sets' spaces and of the fresh one, about the fit set's origin."""
    spaces = [data.fit.spaces[name] for name in data.names]
    empty = empty_moments(data.fit, data.names, Products(precision, device))
    origin = empty.origin
    origin[fresh.NAME] = np.zeros(data.n_classes)
    return Moments(
        [*spaces, fresh.fresh_space(data.n_classes)],
        origin=origin,
        **vars(empty.products),
    )


def _one_map(fitted: LinearMap | MapPair) -> LinearMap:
    return fitted.to_map() if isinstance(fitted, MapPair) else fitted


def _analytic_classifier(head: Head, factor: HeadFactor) -> Classifier:
    """Return the target's head after the analytic map, as a classifier of the source's features."""
    joint = np.column_stack([head.weight, head.bias]).astype(np.float64)
    target = np.asarray(factor.head.weight, np.float64)
    target_bias = np.asarray(factor.head.bias, np.float64)
    if factor.form == "homogeneous":
        # The mapped last coordinate multiplies the target's bias; it is kept, not set to 1.
        folded = np.column_stack([target, target_bias]) @ factor.solve(joint)
        return Classifier(folded[:, :-1], folded[:, -1])
    joint[:, -1] -= target_bias
    folded = target @ factor.solve(joint)
    return Classifier(folded[:, :-1], folded[:, -1] + target_bias)
