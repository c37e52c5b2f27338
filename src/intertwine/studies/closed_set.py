"""The closed-set study: every network's features in every other network's classifier.

Section 3 of McNeely-White, Sattelberg, Blanchard & Beveridge, *Exploring the Interchangeability of
CNN Embedding Spaces*, arXiv 2010.02323 (2020). Maps are fitted with neither labels nor heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.arrays import resolve_precision
from intertwine.estimators import Fitter, HeadFactor, identity, mean_vector
from intertwine.features import fresh
from intertwine.features.rows import curve_sizes, nested_subsets
from intertwine.map_pair import MapPair
from intertwine.moments import Moments
from intertwine.passes.moments import empty_moments
from intertwine.passes.score import Classifier, Counts, count, predict, residuals, total_spread
from intertwine.studies import closed_set_tables as tables
from intertwine.studies.problem import Problem

if TYPE_CHECKING:
    from intertwine.arrays import Array
    from intertwine.estimators import FitOptions
    from intertwine.features.feature_set import FeatureSet
    from intertwine.linear_map import LinearMap

Say = Callable[[str, int, int], None]
CURVE_POINTS = 10


@dataclass(frozen=True)
class ClosedSetResult:
    """The result of the closed-set study: the object that `report.json` holds.

    Parameters
    ----------
    facts
        Single values by key: n_fit, n_eval, medians, options, notes and so on.
    natives, pairs, analytic, baselines, contrast, curve
        The tables, a dictionary a row. A number that is undefined is None with a `reason`.
    """

    facts: dict[str, Any]
    natives: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    analytic: list[dict[str, Any]] = field(default_factory=list)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    contrast: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object."""
        value = asdict(self)
        return {"study": "closed-set", **value.pop("facts"), **value}


def closed_set(
    fit: FeatureSet,
    evaluation: FeatureSet,
    *,
    options: FitOptions,
    controls: Sequence[str] = (),
    precision: str = "auto",
    curve_points: int = CURVE_POINTS,
    say: Say | None = None,
) -> ClosedSetResult:
    """Score every ordered pair of networks, with everything an honest reader needs beside it.

    Parameters
    ----------
    fit
        The rows that maps are fitted on; its labels are used only to state class coverage.
    evaluation
        The rows that maps are scored on, with labels.
    options
        How maps are fitted.
    controls
        Spaces that are controls, such as an untrained network.
    precision
        `auto`, `float64` or `float32`.
    curve_points
        Points of the curve over the number of fit rows; the last is all of them.
    say
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Tables and facts.

    Raises
    ------
    InputError
        For sets that do not fit together, or features that are not finite.
    """
    problem = Problem.of(fit, evaluation, controls=controls)
    run = _Run(problem, options, precision, say or (lambda *_: None))
    sizes = curve_sizes(fit.n, max(curve_points, 1))
    sizes = [size for size in sizes if size >= 2]
    covered: set[int] = set()
    curve: list[dict[str, Any]] = []
    rings = nested_subsets(fit.id_hashes, sizes)
    for step, (size, ring) in enumerate(zip(sizes, rings, strict=True)):
        run.add(ring, step, sizes)
        if problem.fit_labels is not None:
            covered |= set(problem.fit_labels[ring].tolist())
        known = len(covered) if problem.fit_labels is not None else None
        last = step == len(sizes) - 1
        cells = run.cells(full=last)
        curve += tables.curve_rows(cells, problem, size, known)
        run.say("fitting and scoring", step + 1, len(sizes))
    pairs = tables.pair_rows(cells, run.natives, problem)
    analytic = tables.analytic_rows(run.analytic(), problem)
    contrast = tables.contrast_rows(cells, analytic, run.natives, problem)
    kept = [row for row in analytic if row["target"] != fresh.NAME]
    return ClosedSetResult(
        facts=tables.facts(pairs, cells, problem, options, run.moments.precision),
        natives=tables.native_rows(run.natives, problem),
        pairs=pairs,
        analytic=kept,
        baselines=tables.baseline_rows(run.baselines(), problem),
        contrast=contrast,
        curve=curve,
    )


@dataclass
class Cell:
    """One ordered pair, scored.

    Parameters
    ----------
    source, target
        The spaces.
    counts
        What the mapped features did in the target's head.
    info
        What the map says of itself.
    r2
        R² on the evaluation rows, where it was asked for and is defined.
    """

    source: str
    target: str
    counts: Counts
    info: dict[str, Any]
    r2: float | None = None


class _Run:
    """The state of one study: moments that grow, and what never changes while they do."""

    def __init__(self, problem: Problem, options: FitOptions, precision: str, say: Say) -> None:
        self.problem, self.say = problem, say
        fresh_head = fresh.fresh_head(problem.heads[problem.names[0]].classes)
        self.heads = {**problem.heads, fresh.NAME: fresh_head}
        self.fitter = Fitter(options, self.heads)
        self.moments = _moments(problem, precision)
        self.precision = precision
        self.predictions: dict[str, Array] = {}
        for i, name in enumerate(problem.names):
            say("native accuracy", i, len(problem.names))
            self.predictions[name] = predict(
                problem.evaluation, name, problem.heads[name], precision=precision
            )
        self.natives = {name: self._native(name) for name in problem.names}
        self._spread: dict[str, float] | None = None

    def _native(self, name: str) -> Counts:
        own = {name: Classifier.of_head(self.heads[name])}
        return self._count(name, own)[name]

    def _count(
        self,
        source: str,
        classifiers: dict[str, Classifier],
        targets: dict[str, str] | None = None,
        *,
        precision: str | None = None,
    ) -> dict[str, Counts]:
        return count(
            self.problem.evaluation,
            source,
            classifiers,
            labels=self.problem.labels,
            predictions=self.predictions,
            targets=targets,
            precision=precision or self.precision,
        )

    def add(self, ring: Array, step: int, sizes: list[int]) -> None:
        """Add the rows of one ring to the moments."""
        done = sizes[step - 1] if step else 0
        for rows, chunk in self.problem.chunks(ring):
            self.moments.update(chunk, rows=rows)
            done += len(rows)
            self.say("joint moments", done, sizes[-1])

    def cells(self, *, full: bool) -> list[Cell]:
        """Fit and score every ordered pair on the rows so far; with `full`, R² and the contrast."""
        cells = []
        for source in self.problem.names:
            targets = [name for name in self.problem.names if name != source]
            if full and source not in self.problem.controls:
                targets.append(fresh.NAME)
            fitted = self.fitter.fit(self.moments, source, targets)
            maps = {name: _one_map(fitted[name]) for name in targets}
            folded = {name: Classifier.folded(maps[name], self.heads[name]) for name in targets}
            # A point inside the curve needs no more; the last one, the main table, is exact.
            counts = self._count(source, folded, precision=None if full else "float32")
            r2 = self._r2(source, maps) if full else {}
            cells += [
                Cell(source, name, counts[name], maps[name].info, r2.get(name)) for name in targets
            ]
        return cells

    def _r2(self, source: str, maps: dict[str, LinearMap]) -> dict[str, float]:
        problem = self.problem
        if self._spread is None:
            self._spread = total_spread(problem.evaluation, problem.names)
        real = {name: linear_map for name, linear_map in maps.items() if name != fresh.NAME}
        rss = residuals(problem.evaluation, source, real, precision=self.precision)
        spread = self._spread
        return {name: 1 - rss[name] / spread[name] for name in real if spread[name] > 0}

    def baselines(self) -> dict[tuple[str, str, str], Counts]:
        """Score doing nothing and answering the mean, by (baseline, source, target)."""
        scored: dict[tuple[str, str, str], Counts] = {}
        spaces = self.problem.evaluation.spaces
        for source in self.problem.names:
            others = [name for name in self.problem.names if name != source]
            maps = {("identity", a): identity(spaces[source], spaces[a]) for a in others}
            maps |= {("mean", a): mean_vector(self.moments, source, a) for a in others}
            folded = {
                f"{kind} {a}": Classifier.folded(each, self.heads[a])
                for (kind, a), each in maps.items()
            }
            counts = self._count(source, folded, {f"{kind} {a}": a for kind, a in maps})
            scored |= {(kind, source, a): counts[f"{kind} {a}"] for kind, a in maps}
        return scored

    def analytic(self) -> dict[tuple[str, str, str], tuple[Counts, int]]:
        """Score the analytic map: counts and the head's rank, by (form, source, target)."""
        scored: dict[tuple[str, str, str], tuple[Counts, int]] = {}
        names = [*self.problem.names, fresh.NAME]
        for i, target in enumerate(names):
            self.say("analytic map", i, len(names))
            for form in ("affine", "homogeneous"):
                factor = HeadFactor.of(self.heads[target], form)
                for source in self.problem.names:
                    if source != target:
                        classifier = _analytic_classifier(self.heads[source], factor)
                        counts = self._count(source, {target: classifier})[target]
                        scored[form, source, target] = (counts, factor.rank)
        return scored


def _moments(problem: Problem, precision: str) -> Moments:
    """Return empty moments of the problem's spaces and the fresh one, about the fit set's origin."""
    spaces = [problem.fit.spaces[name] for name in problem.names]
    dim = sum(space.dim for space in spaces)
    chosen = resolve_precision(precision, dim=dim, n_rows=problem.fit.n)
    origin = empty_moments(problem.fit, problem.names, precision=chosen).origin
    origin[fresh.NAME] = np.zeros(problem.n_classes)
    return Moments([*spaces, fresh.fresh_space(problem.n_classes)], precision=chosen, origin=origin)


def _one_map(fitted: LinearMap | MapPair) -> LinearMap:
    return fitted.to_map() if isinstance(fitted, MapPair) else fitted


def _analytic_classifier(head: Any, factor: HeadFactor) -> Classifier:
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
