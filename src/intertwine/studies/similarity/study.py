"""The similarity study: how alike every pair of spaces is, with intervals and nulls."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from intertwine._moved import renamed
from intertwine.errors import Doubt, InputError, by_weight
from intertwine.metrics.intervals import CONFIDENCE
from intertwine.moments.accumulators import Products
from intertwine.passes.moments.groups import GROUPS, grouped_moments
from intertwine.report.numbers import median, plain
from intertwine.similarity.canonical import VARIANCE, check_variance
from intertwine.similarity.measures import MEASURES
from intertwine.storage.shelf import Checkpoints
from intertwine.studies.result import StudyResult, listed
from intertwine.studies.similarity import rows as tables
from intertwine.studies.similarity.arrangement import dendrogram, distances, plane
from intertwine.studies.similarity.estimates import MIN_GROUPS, CcaOptions, moment_estimates
from intertwine.studies.similarity.interchangeability import correlations
from intertwine.studies.similarity.layers import layer_rows, networks_of
from intertwine.studies.similarity.row_sample import (
    SAMPLE_ROWS,
    check_neighbours,
    sample_estimates,
    sampled_views,
)
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.parallel.workers import Workers
    from intertwine.passes.moments.groups import MomentGroups
    from intertwine.report.page import Page
    from intertwine.similarity.moment_measures import SpectraOf
    from intertwine.similarity.pairwise import RowView
    from intertwine.studies.similarity.lookup import SimilarityStudy

    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SimilarityOptions:
    """How similarity is measured.

    Parameters
    ----------
    groups
        Row groups of the jackknife and of held-out R², at least 20.
    sample
        Rows of the sample that row measures use; 0 leaves these measures out.
    neighbours
        k of the neighbour measures; min(10, (m − 1)//2) when omitted.
    cca_alpha
        λ of CCA and PWCCA.
    variance
        Share of variance that SVCCA keeps.
    controls
        Spaces that are controls, such as an untrained network.
    layers
        Networks whose layers are the spaces called `NETWORK.LAYER`.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    groups: int = GROUPS
    sample: int = SAMPLE_ROWS
    neighbours: int | None = None
    cca_alpha: float = 0.0
    variance: float = VARIANCE
    controls: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_variance(self.variance)
        if self.groups < MIN_GROUPS:
            raise InputError(
                f"got {counted(self.groups, 'row group')}, expected at least {MIN_GROUPS}"
            )
        if not 0 <= self.cca_alpha < float("inf"):
            raise InputError(f"got CCA λ {self.cca_alpha}, expected a number of at least 0")


@dataclass(frozen=True, repr=False)
class SimilarityResult(StudyResult):
    """The result of the similarity study: the object that `report.json` holds.

    Parameters
    ----------
    facts
        Single values by key: n, n_groups, options, notes and so on.
    measures, spaces, pairs, spectra, layers, swaps, interchangeability
        The tables, a dictionary a row. A number that is undefined is None with a reason.
    dendrogram, mds
        The spaces arranged by Procrustes angle.
    """

    study: ClassVar[str] = "similarity"

    measures: list[dict[str, Any]] = field(default_factory=list)
    spaces: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    spectra: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    dendrogram: dict[str, Any] = field(default_factory=dict)
    mds: dict[str, Any] = field(default_factory=dict)
    swaps: list[dict[str, Any]] = field(default_factory=list)
    interchangeability: list[dict[str, Any]] = field(default_factory=list)

    def _lines(self) -> list[str]:
        names = [row["space"] for row in self.spaces]
        size = f"similarity of {listed(names)}: {counted(self.facts['n'], 'row', form=',')}"
        scores = {
            (row["source"], row["target"]): row["cka_debiased_calibrated"]
            for row in self.pairs
            if row["source"] < row["target"]
            and not row["control"]
            and row.get("cka_debiased_calibrated") is not None
        }
        if not scores:
            return [size, "debiased CKA, calibrated, is defined for no pair"]
        (a, b), best = max(scores.items(), key=lambda each: each[1])
        return [
            size,
            (
                "debiased CKA, calibrated (0 unrelated, 1 the same): "
                f"median {plain(median(list(scores.values())), 2)}, highest {plain(best, 2)}, {a} and {b}"
            ),
        ]

    def _report(self) -> SimilarityStudy:
        from intertwine.studies.similarity.lookup import SimilarityStudy

        return SimilarityStudy.of(self.to_json())

    def _page(self) -> Page:
        from intertwine.studies.similarity.page import summarise_similarity

        return summarise_similarity(self._report())

    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        from intertwine.studies.similarity.report import write_similarity_report

        return write_similarity_report(result, folder)


@renamed(say="progress")
def similarity(
    feature_set: FeatureSet,
    *,
    scratch: Path | None = None,
    options: SimilarityOptions | None = None,
    precision: str = "auto",
    device: str = "cpu",
    workers: Workers | None = None,
    swaps: Sequence[dict[str, Any]] = (),
    closed_set: str | None = None,
    progress: Progress | None = None,
) -> SimilarityResult:
    """Measure every pair of spaces of a feature set.

    Parameters
    ----------
    feature_set
        The set, of two spaces or more.
    scratch
        Folder for moments that memory does not hold, and of what a killed run had finished; a
        temporary one, and nothing is kept, when omitted.
    options
        How similarity is measured.
    precision
        `auto`, `float64`, `float32` or `fast`, of the moments.
    device
        Where moments and the measures on rows are worked out: `cpu`, `cuda` or `cuda:N`.
    workers
        Where parts of the moments are worked out; here when omitted.
    swaps
        Rows of a closed-set report over the same spaces, from `read_swaps`.
    closed_set
        What to call that report.
    progress
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Tables and facts.

    Raises
    ------
    InputError
        For fewer than two spaces, an unknown control or layer, or features that are not finite.
    """
    options, progress = options or SimilarityOptions(), progress or (lambda *_: None)
    feature_set.require_two()
    if workers is not None:
        feature_set = feature_set.on_disk()
    names = list(networks_of(list(feature_set.spaces), feature_set.info, options.layers))
    _check(names, options)
    views: dict[str, RowView] = {}
    if options.sample:
        views = sampled_views(feature_set, names, rows=options.sample, device=device)
        check_neighbours(options.neighbours, next(iter(views.values())).m)
    with ExitStack() as stack:
        folder = scratch or Path(stack.enter_context(TemporaryDirectory(prefix="intertwine-")))
        groups = grouped_moments(
            feature_set,
            names,
            n_groups=options.groups,
            products=Products(precision, device),
            workers=workers,
            scratch=folder,
            progress=lambda done, total: progress("moments", done, total),
        )
        return similarity_of_moments(
            groups,
            views=views,
            options=options,
            info=feature_set.info,
            inputs=feature_set.inputs,
            notes=[*feature_set.shape_doubts(), *feature_set.notes],
            swaps=swaps,
            closed_set=closed_set,
            scratch=folder,
            progress=progress,
        )


@renamed(say="progress")
def similarity_of_moments(
    groups: MomentGroups,
    *,
    views: Mapping[str, RowView] | None = None,
    options: SimilarityOptions | None = None,
    info: Mapping[str, Mapping[str, Any]] | None = None,
    inputs: Sequence[str] = (),
    notes: Sequence[str] = (),
    swaps: Sequence[dict[str, Any]] = (),
    closed_set: str | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> SimilarityResult:
    """Measure every pair of spaces from joint moments, wherever these came from.

    Parameters
    ----------
    groups
        Joint moments of all rows, and of random groups of them; without groups no interval is known.
    views
        A sample of the rows by space, for the measures on rows; none when omitted.
    options
        How similarity is measured.
    info
        What is recorded of each space.
    inputs
        What to call the input.
    notes
        Notes on it.
    swaps
        Rows of a closed-set report over the same spaces.
    closed_set
        What to call that report.
    scratch
        Folder of what a killed study had finished; needs groups with a key.
    progress
        Called with (what, done, total) as work goes on.

    Raises
    ------
    InputError
        For fewer than two spaces, no rows, or an unknown control or layer.
    """
    options, progress = options or SimilarityOptions(), progress or (lambda *_: None)
    info, views, total = info or {}, dict(views or {}), groups.total
    networks = networks_of(list(total.spaces), info, options.layers)
    names = list(networks)
    _check(names, options)
    if total.n < 2:
        raise InputError(f"got n = {counted(total.n, 'row')}, expected at least 2")
    cca = CcaOptions(options.cca_alpha, options.variance)
    saved = None
    if scratch is not None and groups.key:
        saved = Checkpoints(scratch, groups.key, "without")
    by_moments = moment_estimates(groups, options=cca, progress=progress, saved=saved)
    estimates = by_moments.estimates
    if views:
        sampled = sample_estimates(views, neighbours=options.neighbours, progress=progress)
        estimates = {pair: {**each, **sampled[pair]} for pair, each in estimates.items()}
    measured = [each for name, each in MEASURES.items() if views or each.kind == "moments"]
    table = distances(names, estimates)
    networked = [name for name in names if name not in options.controls]
    pairs = tables.pair_rows(
        names, estimates, by_moments.alphas, by_moments.known, options.controls
    )
    return SimilarityResult(
        facts={
            "version": metadata.version("intertwine"),
            "inputs": list(inputs),
            "n": total.n,
            "n_groups": len(groups) or None,
            "sample_rows": next(iter(views.values())).m if views else None,
            "confidence": CONFIDENCE,
            "precision": total.precision,
            "cca_alpha": options.cca_alpha,
            "variance": options.variance,
            "controls": list(options.controls),
            "closed_set": closed_set,
            **by_weight(
                [
                    *notes,
                    *_strangers(pairs),
                    *_choices(by_moments.choices),
                    *_notes(by_moments.known, names, total.n),
                ]
            ),
        },
        measures=[measure.to_json() for measure in measured],
        spaces=tables.space_rows(networks, total.spaces, by_moments.known, info, options.controls),
        pairs=pairs,
        spectra=tables.spectrum_rows(names, by_moments.whole),
        layers=layer_rows(networks, estimates),
        dendrogram=dendrogram(names, table),
        mds=plane(names, table),
        swaps=[row for row in swaps if {row["source"], row["target"]} <= set(names)],
        interchangeability=correlations(networked, estimates, swaps) if swaps else [],
    )


def _check(names: Sequence[str], options: SimilarityOptions) -> None:
    if len(names) < 2:
        raise InputError(f"got one space, {names[0]}, expected at least two")
    for control in options.controls:
        if control not in names:
            raise InputError(f"got control {control!r}, expected one of the spaces {named(names)}")


def _choices(choices: Mapping[tuple[str, str], str]) -> list[str]:
    """Return notes on the λ of R², one sentence a kind of choice."""
    notes = []
    for note in dict.fromkeys(choices.values()):
        pairs = [f"{a} → {b}" for (a, b), each in choices.items() if each == note]
        more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
        notes.append(f"r2 of {', '.join(pairs[:3])}{more}: {note}")
    return notes


def _strangers(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return doubts about the networks that are no more alike than shuffled rows are."""
    return [
        Doubt(
            f"{row['source']} and {row['target']} are no more alike than shuffled rows: are the rows of "
            f"{row['source']}.npy and {row['target']}.npy the same items in the same order?"
        )
        for row in pairs
        if row["source"] < row["target"] and not row["control"] and _is_chance(row)
    ]


def _is_chance(row: Mapping[str, Any]) -> bool:
    low, null = row["cka_debiased_low"], row["cka_debiased_null"]
    return low is not None and null is not None and low <= null


def _notes(known: SpectraOf, names: Sequence[str], n: int) -> list[str]:
    """Return notes on spaces whose spectra make scores meaningless."""
    notes = []
    for name in names:
        spectrum = known.spectra.get(name)
        if spectrum is None:
            notes.append(f"{name} does not vary over the rows: no measure of its shape is defined")
        elif n - 1 <= spectrum.rank:
            notes.append(
                f"{name} has rank {spectrum.rank} over {counted(n, 'row')}: CCA with it is always 1"
            )
    return notes
