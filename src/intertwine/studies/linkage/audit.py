"""The searches of a linkage study: one pair of systems and one number of known people at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.estimators import Fitter, identity
from intertwine.estimators.gcv import kind_of_note
from intertwine.features.feature_set import file_stamps
from intertwine.maps.map_pair import MapPair
from intertwine.moments.moments import Moments
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.studies.linkage.rows import Resample, Row, cmc_rows, rate_row
from intertwine.studies.linkage.search import read_units, search
from intertwine.studies.linkage.tables import PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.estimators import FitOptions
    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Space
    from intertwine.studies.linkage.people import People
    from intertwine.studies.linkage.search import Bridge

    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """The sets, people and options with which every pair of systems is searched.

    `saved` are the mapped conditions that a killed study had finished.
    """

    gallery: FeatureSet
    probe: FeatureSet
    people: People
    options: FitOptions
    resample: Resample
    precision: str
    device: str = "cpu"
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
                for count in [0] if source == target else ladder:
                    row, curve = self._known(source, target, rows, templates, count)
                    pairs.append(row)
                    cmc += curve
                done += 1
                progress("searching", done, total)
        return pairs, cmc

    def _known(
        self, source: str, target: str, probes: Array, templates: Array, count: int
    ) -> tuple[Row, list[Row]]:
        """Return a condition's rows as an earlier run left them, or work them out."""
        if self.saved is None or not count:
            return self._condition(source, target, probes, templates, count)
        name = f"{source}--{target}-{count}"
        rows = self.saved.get(name)
        if rows is None:
            rows = self._condition(source, target, probes, templates, count)
            if rows[0]["reason"] is None:
                self.saved.save(name, rows)
        row, curve = rows
        return row, curve

    def _condition(
        self, source: str, target: str, probes: Array, templates: Array, count: int
    ) -> tuple[Row, list[Row]]:
        """Return the row of one condition, and its cumulative match characteristic."""
        same = "native" if source == target else "unmapped"
        key: Row = {
            "source": source,
            "target": target,
            "condition": "mapped" if count else same,
            "known_pairs": count,
        }
        edges: list[str] = []
        try:
            bridge = self._bridge(source, target, probes, templates, count, edges)
            searches = search(self.people, probes, templates, bridge, count)
        except InputError as error:
            # Too few pairs for this method; more of them may do.
            return PAIRS.undefined(str(error), **key), []
        return (
            {
                **key,
                **rate_row(searches, self.resample),
                **({"edge": edges[0]} if edges else {}),
            },
            [{**key, **row} for row in cmc_rows(searches)],
        )

    def _bridge(
        self,
        source: str,
        target: str,
        probes: Array,
        templates: Array,
        count: int,
        edges: list[str],
    ) -> Bridge:
        """Return what makes probes and templates of a fold comparable; it adds edges of λ that it meets."""
        start, end = self.probe.spaces[source], self.gallery.spaces[target]
        if not count:
            padded = identity(start, end)
            return lambda _, mine, theirs: (padded.apply(mine), theirs)

        def mapped(fold: int, mine: Array, theirs: Array) -> tuple[Array, Array]:
            chosen = self.people.known(fold, count)
            pairs = {
                source: probes[self.people.first_probe[chosen]],
                target: templates[self.people.first_template[chosen]],
            }
            return self._fitted([start, end], pairs, mine, theirs, edges)

        return mapped

    def _fitted(
        self,
        spaces: Sequence[Space],
        pairs: dict[str, Array],
        mine: Array,
        theirs: Array,
        edges: list[str],
    ) -> tuple[Array, Array]:
        """Return both sides after the map that is fitted on known pairs."""
        moments = Moments(spaces, precision=self.precision, device=self.device)
        moments.update(pairs)
        source, target = (space.name for space in spaces)
        fitted = Fitter(self.options).fit(moments, source, [target])[target]
        info = fitted.source.info if isinstance(fitted, MapPair) else fitted.info
        edge = kind_of_note(info.get("notes", ()))
        edges += [edge] if edge else []
        if isinstance(fitted, MapPair):
            # The gallery is at hand, so both sides may be mapped.
            return fitted.source.apply(mine), fitted.target.apply(theirs)
        return fitted.apply(mine), theirs
