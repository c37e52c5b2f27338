"""The searches of a linkage study: one pair of systems and one number of known people at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators import Fitter, PartlyPaired, identity
from intertwine.estimators.gcv import kind_of_note
from intertwine.features.feature_set import file_stamps
from intertwine.maps.map_pair import MapPair
from intertwine.moments.moments import Moments
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.studies.linkage.rows import Resample, Row, cmc_rows, rate_row
from intertwine.studies.linkage.search import read_units, search
from intertwine.studies.linkage.tables import PAIRS, SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.estimators import FitOptions
    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Space
    from intertwine.studies.linkage.people import People
    from intertwine.studies.linkage.search import Bridge

    Fitted = LinearMap | MapPair
    Progress = Callable[[str, int, int], None]

MAPPED, TRAINED = "mapped", "self-trained"
# What `--attack` takes, and the conditions that it searches.
ATTACKS = {"paired": (MAPPED,), "self-trained": (TRAINED,), "both": (MAPPED, TRAINED)}


@dataclass(frozen=True)
class Condition:
    """One row of the main table; `overlap` is that of a self-trained map."""

    source: str
    target: str
    name: str
    known: int = 0
    overlap: float | None = None

    @property
    def key(self) -> Row:
        """What identifies its rows."""
        return {
            "source": self.source,
            "target": self.target,
            "condition": self.name,
            "known_pairs": self.known,
            "overlap": self.overlap,
        }

    @property
    def file(self) -> str:
        """The name under which it is saved."""
        trained = "" if self.overlap is None else f"-{self.name}-{self.overlap!r}"
        return f"{self.source}--{self.target}-{self.known}{trained}"


@dataclass
class Fits:
    """What is known of a condition's maps, over the folds, without a word of who was matched.

    `edges` are edges of λ that were met, `trained` what self-training says of itself, and `seconds`
    what it took.
    """

    edges: list[str] = field(default_factory=list)
    trained: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def row(self) -> Row:
        """The fields of the main table that they fill."""
        edge = {"edge": self.edges[0]} if self.edges else {}
        if not self.trained:
            return {**dict.fromkeys(SCHEDULE), **edge}

        def over_folds(key: str) -> list[float]:
            return [float(each[key]) for each in self.trained if each.get(key) is not None]

        believed = over_folds("believed")
        shares = {key: over_folds(key) for key in ("share", "share_by_chance")}
        return {
            "believed": float(np.mean(believed)),
            "steps": float(np.median(over_folds("steps"))),
            "pseudo_share": float(np.mean(shares["share"])),
            "pseudo_share_by_chance": float(np.mean(shares["share_by_chance"])),
            "seconds": round(self.seconds, 1),
            **edge,
        }


@dataclass(frozen=True)
class Audit:
    """The sets, people and options with which every pair of systems is searched.

    `attacks` are the kinds of maps, `overlaps` the shares of people with an unlabelled template of
    which self-training is shown, and `saved` the conditions that a killed study had finished.
    """

    gallery: FeatureSet
    probe: FeatureSet
    people: People
    options: FitOptions
    resample: Resample
    precision: str
    device: str = "cpu"
    attacks: Sequence[str] = (MAPPED,)
    overlaps: Sequence[float] = (1.0,)
    saved: Checkpoints | None = None

    def key(self, n_folds: int, n_replicates: int) -> str:
        """Return a key of these sets and options, which no others have."""
        facts = [file_stamps(self.gallery), file_stamps(self.probe), n_folds, n_replicates]
        facts += [repr(self.options), self.precision, self.device]
        return run_key(facts, self.gallery.id_hashes, self.probe.id_hashes)

    def run(self, ladder: Sequence[int], progress: Progress) -> tuple[list[Row], list[Row]]:
        """Return the main table and the cumulative match characteristics."""
        pairs: list[Row] = []
        cmc: list[Row] = []
        done, total = 0, len(self.gallery.spaces) * len(self.probe.spaces)
        for target in self.gallery.spaces:
            templates = read_units(self.gallery, target, self.people.template_rows)
            for source in self.probe.spaces:
                rows = read_units(self.probe, source, self.people.probe_rows)
                for condition in self._conditions(source, target, ladder):
                    row, curve = self._known(condition, rows, templates)
                    pairs.append(row)
                    cmc += curve
                done += 1
                progress("searching", done, total)
        return pairs, cmc

    def _conditions(self, source: str, target: str, ladder: Sequence[int]) -> list[Condition]:
        """Return the conditions of two systems, by number of known pairs."""
        if source == target:
            return [Condition(source, target, "native")]
        conditions = [Condition(source, target, "unmapped")]
        for count in ladder:
            if count and MAPPED in self.attacks:
                conditions.append(Condition(source, target, MAPPED, count))
            if count and TRAINED in self.attacks:
                conditions += [
                    Condition(source, target, TRAINED, count, overlap) for overlap in self.overlaps
                ]
        return conditions

    def _known(
        self, condition: Condition, probes: Array, templates: Array
    ) -> tuple[Row, list[Row]]:
        """Return a condition's rows as an earlier run left them, or work them out."""
        if self.saved is None or not condition.known:
            return self._rows(condition, probes, templates)
        rows = self.saved.get(condition.file)
        if rows is None:
            rows = self._rows(condition, probes, templates)
            if rows[0]["reason"] is None:
                self.saved.save(condition.file, rows)
        row, curve = rows
        return row, curve

    def _rows(self, condition: Condition, probes: Array, templates: Array) -> tuple[Row, list[Row]]:
        """Return the row of one condition, and its cumulative match characteristic."""
        fits = Fits()
        try:
            bridge = self._bridge(condition, probes, templates, fits)
            searches = search(self.people, probes, templates, bridge, condition.known)
        except InputError as error:
            # Too few pairs for this method; more of them may do.
            return PAIRS.undefined(str(error), **condition.key), []
        return (
            {**condition.key, **rate_row(searches, self.resample), **fits.row},
            [{**condition.key, **row} for row in cmc_rows(searches)],
        )

    def _bridge(self, condition: Condition, probes: Array, templates: Array, fits: Fits) -> Bridge:
        """Return what makes probes and templates of a fold comparable; `fits` is added to."""
        source, target = condition.source, condition.target
        spaces = [self.probe.spaces[source], self.gallery.spaces[target]]
        if not condition.known:
            padded = identity(*spaces)
            return lambda _, mine, theirs: (padded.apply(mine), theirs)

        def mapped(fold: int, mine: Array, theirs: Array) -> tuple[Array, Array]:
            known = self.people.known(fold, condition.known)
            pairs = {
                source: probes[self.people.first_probe[known]],
                target: templates[self.people.first_template[known]],
            }
            if condition.overlap is None:
                fitted = self._fitted(spaces, pairs, None, self.options)
                fits.edges += edges_of(fitted)
            else:
                started = time.perf_counter()
                unlabelled = self._unlabelled(condition, known, probes, templates)
                options = replace(self.options, method="self-training", refit=self.options.method)
                fitted = self._fitted(spaces, pairs, unlabelled, options)
                fits.seconds += time.perf_counter() - started
                fits.trained.append(fitted.info["self_training"])
            if isinstance(fitted, MapPair):
                # The gallery is at hand, so both sides may be mapped.
                return fitted.source.apply(mine), fitted.target.apply(theirs)
            return fitted.apply(mine), theirs

        return mapped

    def _unlabelled(
        self, condition: Condition, known: Array, probes: Array, templates: Array
    ) -> dict[str, Array]:
        """Return what the attacker has besides known pairs: all other probes and templates.

        Of some people, all but the share `overlap`, templates are left out. The gallery that is
        searched is the same whatever the overlap.
        """
        people, overlap = self.people, 1.0 if condition.overlap is None else condition.overlap
        absent = np.concatenate([known, people.left_out(overlap)])
        return {
            condition.source: probes[~np.isin(people.probes, known)],
            condition.target: templates[~np.isin(people.gallery, absent)],
        }

    def _fitted(
        self,
        spaces: Sequence[Space],
        pairs: dict[str, Array],
        unlabelled: dict[str, Array] | None,
        options: FitOptions,
    ) -> Fitted:
        """Return the map that is fitted on known pairs, and on unlabelled rows if there are any."""
        moments = Moments(spaces, precision=self.precision, device=self.device)
        moments.update(pairs)
        source, target = (space.name for space in spaces)
        rows = None if unlabelled is None else PartlyPaired(pairs, unlabelled)
        return Fitter(options, rows=rows).fit(moments, source, [target])[target]


def edges_of(fitted: Fitted) -> list[str]:
    """Return the edge of λ that a map met, if any."""
    edge = kind_of_note(fitted.info.get("notes", ()))
    return [edge] if edge else []
