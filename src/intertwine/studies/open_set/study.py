"""The open-set study: people verified across the embedding spaces of two networks.

Section 4 of McNeely-White, Sattelberg, Blanchard & Beveridge, *Exploring the Interchangeability of
CNN Embedding Spaces*, arXiv 2010.02323 (2020): ten folds of pairs, maps and thresholds of each fold
from the other nine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from intertwine._moved import renamed
from intertwine.errors import Doubt, InputError, by_weight
from intertwine.metrics.intervals import CONFIDENCE, pair_weights, people_counts
from intertwine.passes.held_out import CHANCE_Z, order_question
from intertwine.report.numbers import plain, signed
from intertwine.studies.open_set import rows as tables
from intertwine.studies.open_set.best_protocol import best_trials
from intertwine.studies.open_set.curves import rank_rows, size_rows
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.fold_maps import FoldMaps, ReadyMaps
from intertwine.studies.open_set.fold_moments import FoldMoments
from intertwine.studies.open_set.options import OpenSetOptions
from intertwine.studies.open_set.recipes import RecipeMaps
from intertwine.studies.open_set.scores import score_checkpoints
from intertwine.studies.open_set.trials import mapped_trials, native_trials
from intertwine.studies.result import StudyResult, listed
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.report.page import Page
    from intertwine.storage.shelf import Checkpoints
    from intertwine.studies.open_set.fold_maps import Maps, Pair
    from intertwine.studies.open_set.lookup import OpenSetStudy
    from intertwine.studies.open_set.pairs import PairList
    from intertwine.studies.open_set.trials import Progress, Trial

# Methods whose maps have a rank to cut.
_RANKED = ("ridge", "least-squares", "reduced-rank")


@dataclass(frozen=True, repr=False)
class OpenSetResult(StudyResult):
    """The result of the open-set study: the object that `report.json` holds.

    Parameters
    ----------
    facts
        Single values by key: counts, options, median and worst change, notes.
    natives, pairs, folds, curve, roc
        The tables, a dictionary a row. A number that is undefined is None with a reason.
    """

    study: ClassVar[str] = "open-set"

    natives: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    folds: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    roc: list[dict[str, Any]] = field(default_factory=list)

    def _lines(self) -> list[str]:
        facts = self.facts
        changes = [signed(facts[f"{which}_percent_change"], 2) for which in ("median", "worst")]
        return [
            (
                f"open-set study of {listed([row['space'] for row in self.natives])}: "
                f"{counted(facts['n_pairs'], 'pair', form=',')} in {counted(facts['n_folds'], 'fold')}"
            ),
            (
                f"change against the source's own accuracy: median {changes[0]} %, worst {changes[1]} %; "
                f"worst loss {plain(facts['worst_loss'], 2)} points"
            ),
        ]

    def _report(self) -> OpenSetStudy:
        from intertwine.studies.open_set.lookup import OpenSetStudy

        return OpenSetStudy.of(self.to_json())

    def _page(self) -> Page:
        from intertwine.studies.open_set.page import summarise_open_set

        return summarise_open_set(self._report())

    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        from intertwine.studies.open_set.report import write_open_set_report

        return write_open_set_report(result, folder)


@renamed(say="progress")
def open_set(
    feature_set: FeatureSet,
    pairs: PairList,
    *,
    options: OpenSetOptions | None = None,
    maps: ReadyMaps | None = None,
    precision: str = "auto",
    device: str = "cpu",
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> OpenSetResult:
    """Verify every ordered pair of networks, with the ceiling and the accuracy without a map.

    Parameters
    ----------
    feature_set
        Features of the images that the pairs name, of two networks or more.
    pairs
        The pairs and their folds.
    options
        How the study is done.
    maps
        Maps for every fold, ready-made or fitted on other data; fitted inside the folds when
        omitted.
    precision
        `auto` and `float64` are the same here; `float32` or `fast`.
    device
        Where products are taken: `cpu`, `cuda` or `cuda:N`.
    scratch
        Folder of what a killed study had finished; nothing is saved when omitted.
    progress
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Tables and facts.

    Raises
    ------
    InputError
        For one space only, ids that the set lacks, rows of length zero, or too few rows to fit on.
    """
    options, progress = options or OpenSetOptions(), progress or (lambda *_: None)
    feature_set.require_two()
    if maps is not None and (options.refit or options.is_best):
        what = "refit" if options.refit else "protocol best"
        raise InputError(f"got {what} with maps from elsewhere, expected maps fitted in the folds")
    data = VerificationSet.of(feature_set, pairs)
    precision = "float64" if precision == "auto" else precision
    rows = FoldMoments.of(data, options.fit, precision, device)
    natives = native_trials(data)
    if maps is not None:
        maps.require(data)
    saved = None
    if scratch is not None and maps is None:
        saved = score_checkpoints(scratch, data, repr((options, precision, device)))
    trials: Mapping[Pair, Trial]
    if options.is_best:
        recipes = RecipeMaps(data, options.space, precision=precision, device=device)
        trials = best_trials(recipes, saved=saved, progress=progress)
    else:
        source: Maps = FoldMaps(rows, options.method) if maps is None else maps
        trials = mapped_trials(
            data, source, threshold=options.threshold, saved=saved, progress=progress
        )
    if options.refit:
        trials = _refitted(trials, rows, options, saved, progress)
    curve = []
    if maps is None and options.curve_points and not options.is_best:
        points = options.curve_points
        curve = size_rows(
            rows, options.method, natives, trials, points=points, saved=saved, progress=progress
        )
        if options.method.method in _RANKED:
            curve += rank_rows(rows, options.method, natives, saved=saved, progress=progress)
    weights = None
    if options.replicates:
        persons = data.person[data.first], data.person[data.second]
        weights = pair_weights(*persons, n_replicates=options.replicates)
    bootstrap = tables.Bootstrap(data, weights)
    identities = mapped_trials(data, ReadyMaps.identities(data))
    pair_table = tables.pair_rows(trials, natives, identities, bootstrap)
    doubts = chance_doubts(pair_table, data)
    return OpenSetResult(
        facts={
            **_facts(data, options),
            "inputs": list(feature_set.inputs),
            "pairs_file": pairs.path.name,
            "fit_inputs": [],
            **(maps.origin if maps else {}),
            **by_weight(
                [
                    *(maps.notes if maps else ()),
                    *data.notes,
                    *doubts,
                    *bootstrap.too_fine.values(),
                    *_edges(trials),
                ]
            ),
            **tables.headline(pair_table),
        },
        natives=tables.native_rows(natives, bootstrap),
        pairs=pair_table,
        folds=tables.fold_rows(trials, natives),
        curve=curve,
        roc=tables.roc_rows(trials, natives, data.same),
    )


def _refitted(
    trials: Mapping[Pair, Trial],
    rows: FoldMoments,
    options: OpenSetOptions,
    saved: Checkpoints | None,
    progress: Progress,
) -> dict[Pair, Trial]:
    """Return the trials with maps refitted on each replicate's people."""
    data = rows.data
    person = data.person[next(iter(rows.sides.values()))]
    counts = people_counts(data.n_people, options.replicates)
    drawn: dict[Pair, list[Any]] = {pair: [] for pair in trials}
    for done, count in enumerate(counts):
        resampled = rows.taking(np.repeat(np.arange(rows.n), count[person].astype(np.int64)))
        maps = FoldMaps(resampled, options.method)
        again = mapped_trials(
            data, maps, threshold=options.threshold, saved=saved and saved.at(f"replicate{done}")
        )
        for pair, trial in again.items():
            drawn[pair].append(trial.accuracy)
        progress("refitting replicates", done + 1, len(counts))
    return {pair: replace(trial, replicates=tuple(drawn[pair])) for pair, trial in trials.items()}


def chance_doubts(pairs: Sequence[dict[str, Any]], data: VerificationSet) -> list[str]:
    """Return doubts about networks and maps that verify no better than by chance."""
    matched, mismatched = int(data.same.sum()), int((~data.same).sum())
    # Of AUC where scores are unrelated; Mann & Whitney, Annals of Mathematical Statistics 18 (1947).
    spread = ((matched + mismatched + 1) / (12 * matched * mismatched)) ** 0.5
    low = [row for row in pairs if row["auc"] is not None and row["auc"] <= 0.5 + CHANCE_Z * spread]
    blind = [row["source"] for row in low if row["source"] == row["target"]]
    doubts: list[str] = [
        Doubt(
            f"{name} by itself verifies at chance: are the rows of {name}.npy in the order of ids.txt?"
        )
        for name in blind
    ]
    return doubts + [
        Doubt(order_question(row["source"], row["target"]))
        for row in low
        if not {row["source"], row["target"]} & set(blind)
    ]


def _facts(data: VerificationSet, options: OpenSetOptions) -> dict[str, Any]:
    method, best = options.method, options.is_best
    shared = options.space == "shared" or method.method == "cca"
    return {
        "version": metadata.version("intertwine"),
        "n_pairs": len(data.same),
        "n_matched": int(data.same.sum()),
        "n_mismatched": int((~data.same).sum()),
        "n_folds": data.n_folds,
        "n_people": data.n_people,
        "n_images": data.n_images,
        "fit": "images" if best else options.fit,
        "method": ("cca" if shared else "half-whitened") if best else method.method,
        "alpha": "cross-validated" if best else method.alpha,
        "intercept": "free" if best else method.intercept,
        "rank": None if best else method.rank,
        "threshold": "crossfit" if best else options.threshold,
        "protocol": options.protocol,
        "space": "shared" if shared else "target",
        "refit": options.refit,
        "replicates": options.replicates,
        "confidence": CONFIDENCE,
    }


def _edges(trials: Mapping[Pair, Trial]) -> list[str]:
    """Return which maps' λ was chosen at an edge of the grid, and in how many folds."""
    return [
        f"{source} → {target}: {trial.edges[0]} in {len(trial.edges)} folds; widen it with --alphas"
        for (source, target), trial in trials.items()
        if trial.edges
    ]
