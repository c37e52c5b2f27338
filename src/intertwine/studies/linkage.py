"""The linkage study, an audit: how many known pairs make a withheld database linkable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.estimators import Fitter, identity
from intertwine.map_pair import MapPair
from intertwine.metrics.identity_bootstrap import REPLICATES
from intertwine.metrics.intervals import CONFIDENCE
from intertwine.moments import Moments
from intertwine.studies import linkage_tables as tables
from intertwine.studies.linkage_people import FOLDS, People
from intertwine.studies.linkage_search import read_units, search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intertwine.arrays import Array
    from intertwine.estimators import FitOptions
    from intertwine.features.feature_set import FeatureSet
    from intertwine.spaces import Space
    from intertwine.studies.linkage_search import Bridge

    Say = Callable[[str, int, int], None]

ALL = "all"
KNOWN = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


@dataclass(frozen=True)
class LinkageResult:
    """The result of the linkage study: the object that `report.json` holds. It names nobody.

    Parameters
    ----------
    facts
        Single values by key: sizes, options, notes and so on.
    pairs, cmc, linkable
        The tables, a dictionary a row. A number that is undefined is None with a reason.
    """

    facts: dict[str, Any]
    pairs: list[dict[str, Any]] = field(default_factory=list)
    cmc: list[dict[str, Any]] = field(default_factory=list)
    linkable: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object."""
        value = asdict(self)
        return {"study": "linkage", **value.pop("facts"), **value}


def linkage(
    gallery: FeatureSet,
    probe: FeatureSet,
    *,
    options: FitOptions,
    known: Sequence[int | str] | None = None,
    n_folds: int = FOLDS,
    n_replicates: int = REPLICATES,
    precision: str = "auto",
    say: Say | None = None,
) -> LinkageResult:
    """Measure how well probes of each system find their people in a gallery of each other.

    Parameters
    ----------
    gallery
        Templates of the systems under audit, one space a system, with labels as identities.
    probe
        Other images of some of these people, through the systems that an auditor has.
    options
        How maps are fitted.
    known
        Numbers of people of whom one template is known in both systems, or `all`; 0 is no map. Some
        up to all when omitted.
    n_folds
        Folds of people; those of one are searched for with maps fitted on people of the others.
    n_replicates
        Bootstrap samples of people.
    precision
        `auto`, `float64` or `float32`, of the moments.
    say
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Rates; nothing that names a person.

    Raises
    ------
    InputError
        For sets without labels or people in common, spaces of one name that differ, features that
        are not finite or of zero length, more known people than there are, or a method that needs
        heads.
    """
    if options.needs_heads:
        raise InputError("linkage has no heads: got the analytic map, expected a fitted method")
    people = People.of(gallery, probe, n_folds=n_folds)
    ladder = _ladder(known, people)
    for name in gallery.spaces.keys() & probe.spaces.keys():
        gallery.spaces[name].require(probe.spaces[name])
    audit = _Audit(
        gallery, probe, people, options, tables.Resample(people, n_replicates), precision
    )
    pairs, cmc = audit.run(ladder, say or (lambda *_: None))
    mapped = [row for row in pairs if row["condition"] == "mapped"]
    if mapped and all(row["reason"] for row in mapped):
        raise InputError(f"no map can be fitted: {mapped[-1]['reason']}")
    return LinkageResult(
        facts={
            "version": metadata.version("intertwine"),
            "inputs": {
                "gallery": [path.name for path in gallery.paths],
                "probe": [path.name for path in probe.paths],
            },
            "notes": _notes(people, pairs),
            "method": options.method,
            "alpha": options.alpha,
            "intercept": options.intercept,
            "precision": precision,
            "known": ladder,
            "folds": n_folds,
            "replicates": n_replicates,
            "confidence": CONFIDENCE,
        },
        pairs=pairs,
        cmc=cmc,
        linkable=tables.linkable_rows(pairs),
    )


@dataclass(frozen=True)
class _Audit:
    """Everything that one pair of systems after another is searched with."""

    gallery: FeatureSet
    probe: FeatureSet
    people: People
    options: FitOptions
    resample: tables.Resample
    precision: str

    def run(self, ladder: Sequence[int], say: Say) -> tuple[list[tables.Row], list[tables.Row]]:
        """Return the main table and the cumulative match characteristics."""
        pairs: list[tables.Row] = []
        cmc: list[tables.Row] = []
        done, total = 0, len(self.gallery.spaces) * len(self.probe.spaces)
        for target in self.gallery.spaces:
            templates = read_units(self.gallery, target)
            for source in self.probe.spaces:
                rows = read_units(self.probe, source)
                for count in [0] if source == target else ladder:
                    row, curve = self._condition(source, target, rows, templates, count)
                    pairs.append(row)
                    cmc += curve
                done += 1
                say("searching", done, total)
        return pairs, cmc

    def _condition(
        self, source: str, target: str, probes: Array, templates: Array, count: int
    ) -> tuple[tables.Row, list[tables.Row]]:
        """Return the row of one condition, and its cumulative match characteristic."""
        same = "native" if source == target else "unmapped"
        key = {
            "source": source,
            "target": target,
            "condition": "mapped" if count else same,
            "known_pairs": count,
        }
        try:
            bridge = self._bridge(source, target, probes, templates, count)
            rows = probes[self.people.probe_rows]
            found = search(self.people, rows, templates, bridge, count)
        except InputError as error:
            # Too few pairs for this method; more of them may do.
            return {**key, **tables.undefined_row(str(error))}, []
        return (
            {**key, **tables.rate_row(found, self.resample)},
            [{**key, **row} for row in tables.cmc_rows(found)],
        )

    def _bridge(
        self, source: str, target: str, probes: Array, templates: Array, count: int
    ) -> Bridge:
        """Return what makes probes and templates of a fold comparable."""
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
            return self._fitted([start, end], pairs, mine, theirs)

        return mapped

    def _fitted(
        self, spaces: Sequence[Space], pairs: dict[str, Array], mine: Array, theirs: Array
    ) -> tuple[Array, Array]:
        """Return both sides after the map that known pairs give."""
        moments = Moments(spaces, precision=self.precision)
        moments.update(pairs)
        source, target = (space.name for space in spaces)
        fitted = Fitter(self.options).fit(moments, source, [target])[target]
        if isinstance(fitted, MapPair):
            # The gallery is at hand, so both sides may be mapped.
            return fitted.source.apply(mine), fitted.target.apply(theirs)
        return fitted.apply(mine), theirs


def _ladder(known: Sequence[int | str] | None, people: People) -> list[int]:
    """Return the numbers of known people, ascending from 0."""
    most = people.max_known
    if known is None:
        return [0, *(count for count in KNOWN if count < most), most]
    counts = {0}
    for each in known:
        count = most if each == ALL else each
        if not isinstance(count, int) or not (count == 0 or 2 <= count <= most):
            raise InputError(
                f"got {each} known people, expected {ALL}, 0, or 2 to {most}: those in both sets "
                "who are in the other folds"
            )
        counts.add(count)
    return sorted(counts)


def _notes(people: People, pairs: Sequence[tables.Row]) -> list[str]:
    notes = list(people.notes)
    if len(people.probes) * tables.FPIR < 1:
        notes.append(
            f"{len(people.probes)} impostor searches are too few for an FPIR of 1e-2: the threshold "
            "lets none through"
        )
    reasons = {row["reason"]: row["known_pairs"] for row in pairs if row["reason"]}
    notes += [f"undefined with {count} known pairs: {reason}" for reason, count in reasons.items()]
    return notes
