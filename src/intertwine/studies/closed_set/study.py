"""The closed-set study: every network's features in every other network's classifier.

Section 3 of McNeely-White, Sattelberg, Blanchard & Beveridge, *Exploring the Interchangeability of
CNN Embedding Spaces*, arXiv 2010.02323 (2020). Maps are fitted with neither labels nor heads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from intertwine._moved import renamed
from intertwine.estimators import FitOptions
from intertwine.features.rows import curve_sizes, nested_subsets
from intertwine.report.numbers import chance, signed
from intertwine.studies.closed_set import fresh
from intertwine.studies.closed_set import rows as tables
from intertwine.studies.closed_set.cross_evaluation import CrossEvaluation, Progress
from intertwine.studies.closed_set.data import ClosedSetData
from intertwine.studies.closed_set.rows import facts
from intertwine.studies.result import StudyResult, listed
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.parallel.workers import Workers
    from intertwine.report.page import Page
    from intertwine.studies.closed_set.lookup import ClosedSetStudy

CURVE_POINTS = 10


@dataclass(frozen=True, repr=False)
class ClosedSetResult(StudyResult):
    """The result of the closed-set study: the object that `report.json` holds.

    Parameters
    ----------
    facts
        Single values by key: n_fit, n_eval, medians, options, notes and so on.
    natives, pairs, analytic, baselines, contrast, curve
        The tables, a dictionary a row. A number that is undefined is None with a `reason`.
    """

    study: ClassVar[str] = "closed-set"

    natives: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    analytic: list[dict[str, Any]] = field(default_factory=list)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    contrast: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)

    def _lines(self) -> list[str]:
        facts = self.facts
        changes = [signed(facts[f"{which}_percent_change"], 2) for which in ("median", "worst")]
        return [
            (
                f"closed-set study of {listed([row['space'] for row in self.natives])}: "
                f"{counted(facts['n_fit'], 'fit row', form=',')}, "
                f"{counted(facts['n_eval'], 'evaluation row', form=',')}"
            ),
            (
                f"change against the source's own accuracy: median {changes[0]} %, worst {changes[1]} %; "
                f"chance {chance(facts['chance'])} %"
            ),
        ]

    def _report(self) -> ClosedSetStudy:
        from intertwine.studies.closed_set.lookup import ClosedSetStudy

        return ClosedSetStudy.of(self.to_json())

    def _page(self) -> Page:
        from intertwine.studies.closed_set.page import summarise_closed_set

        return summarise_closed_set(self._report())

    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        from intertwine.studies.closed_set.report import write_closed_set_report

        return write_closed_set_report(result, folder)


@renamed(say="progress")
def closed_set(
    fit: FeatureSet,
    evaluation: FeatureSet,
    *,
    options: FitOptions | None = None,
    controls: Sequence[str] = (),
    allow_overlap: bool = False,
    precision: str = "auto",
    device: str = "cpu",
    workers: Workers | None = None,
    curve_points: int = CURVE_POINTS,
    progress: Progress | None = None,
) -> ClosedSetResult:
    """Score every ordered pair of networks, with native networks, baselines and analytic maps.

    Parameters
    ----------
    fit
        The rows that maps are fitted on; its labels are used only to state class coverage.
    evaluation
        The rows that maps are scored on, with labels.
    options
        How maps are fitted; ridge with λ = 1 when omitted.
    controls
        Spaces that are controls, such as an untrained network.
    allow_overlap
        Whether rows may be in both sets; scores are then too good, which is the first note.
    precision, device
        Of the products: `auto`, `float64`, `float32` or `fast`; `cpu`, `cuda` or `cuda:N`.
    workers
        Where parts of the moments are worked out; here when omitted.
    curve_points
        Points of the curve over the number of fit rows; the last is all of them.
    progress
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Tables and facts.

    Raises
    ------
    InputError
        For sets that do not fit together, rows in both of them unless that is allowed, or features
        that are not finite.
    """
    options = options or FitOptions()
    if workers is not None:
        fit = fit.on_disk()
    data = ClosedSetData.of(fit, evaluation, controls=controls, allow_overlap=allow_overlap)
    run = CrossEvaluation(
        data,
        options,
        precision=precision,
        device=device,
        workers=workers,
        progress=progress or (lambda *_: None),
    )
    sizes = curve_sizes(fit.n, max(curve_points, 1))
    sizes = [size for size in sizes if size >= 2]
    covered: set[int] = set()
    learning_curve: list[dict[str, Any]] = []
    subsets = nested_subsets(fit.id_hashes, sizes)
    for step, (size, subset) in enumerate(zip(sizes, subsets, strict=True)):
        run.add(subset, step, sizes)
        if data.fit_labels is not None:
            covered |= set(data.fit_labels[subset].tolist())
        known = len(covered) if data.fit_labels is not None else None
        last = step == len(sizes) - 1
        cells = run.cells(full=last)
        learning_curve += tables.learning_curve_rows(cells, data, size, known)
        run.progress("fitting and scoring", step + 1, len(sizes))
    pairs = tables.pair_rows(cells, run.natives, data)
    analytic = tables.analytic_rows(run.analytic(), data)
    contrast = tables.contrast_rows(cells, analytic, run.natives, data)
    analytic_of_networks = [row for row in analytic if row["target"] != fresh.NAME]
    return ClosedSetResult(
        facts=facts(pairs, cells, data, options, run.moments.precision, run.doubts()),
        natives=tables.native_rows(run.natives, data),
        pairs=pairs,
        analytic=analytic_of_networks,
        baselines=tables.baseline_rows(run.baselines(), data),
        contrast=contrast,
        curve=learning_curve,
    )
