"""The linkage study, an audit: how many known pairs make a withheld database linkable."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from intertwine._moved import renamed
from intertwine.errors import Doubt, InputError, by_weight
from intertwine.estimators import FitOptions
from intertwine.estimators.methods import REFITS
from intertwine.metrics.intervals import CONFIDENCE, REPLICATES
from intertwine.passes.held_out import CHANCE_Z
from intertwine.report.numbers import chance, median, share
from intertwine.storage.shelf import Checkpoints
from intertwine.studies.linkage.audit import ATTACKS, TRAINED, Audit
from intertwine.studies.linkage.people import FOLDS, People
from intertwine.studies.linkage.rows import FPIR, Resample, Row, linkable_rows
from intertwine.studies.result import StudyResult, listed
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.report.page import Page
    from intertwine.studies.linkage.lookup import LinkageStudy

    Progress = Callable[[str, int, int], None]

ALL = "all"
KNOWN = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


@dataclass(frozen=True, repr=False)
class LinkageResult(StudyResult):
    """The result of the linkage study: the object that `report.json` holds. It names nobody.

    Parameters
    ----------
    facts
        Single values by key: sizes, options, notes and so on.
    pairs, cmc, linkable
        The tables, a dictionary a row. A number that is undefined is None with a reason.
    """

    study: ClassVar[str] = "linkage"

    pairs: list[dict[str, Any]] = field(default_factory=list)
    cmc: list[dict[str, Any]] = field(default_factory=list)
    linkable: list[dict[str, Any]] = field(default_factory=list)

    def _lines(self) -> list[str]:
        first, most = self.pairs[0], self.facts["known"][-1]
        systems = [row[side] for side in ("target", "source") for row in self.pairs]
        people = counted(first["n_people"], "person", "people", form=",")
        before, after = (self._median_rank1(*each) for each in (("unmapped", 0), ("mapped", most)))
        lines = [
            (
                f"linkage audit of {listed(list(dict.fromkeys(systems)))}: "
                f"{counted(first['n_probes'], 'probe', form=',')} of {people} among "
                f"{first['n_gallery']:,}"
            ),
            (
                f"median rank-1 rate {share(before, 1)} % without a map, {share(after, 1)} % with "
                f"{counted(most, 'known pair', form=',')}; chance {chance(first['chance'])} %"
            ),
        ]
        fewest = [self._fewest(key) for key in ("", "_self_trained")]
        if self.facts.get("attack") == "both" and any(each is not None for each in fewest):
            alone, trained = ("never" if each is None else f"{each:,}" for each in fewest)
            lines.append(
                f"known people for half of the native rate, at the fewest: {alone} from pairs only, "
                f"{trained} with unlabelled templates"
            )
        return lines

    def _fewest(self, suffix: str) -> int | None:
        reached = [row[f"half_of_native_from{suffix}"] for row in self.linkable]
        return min((each for each in reached if each is not None), default=None)

    def _median_rank1(self, condition: str, known: int) -> float | None:
        rows = [
            row
            for row in self.pairs
            if (row["condition"], row["known_pairs"]) == (condition, known)
        ]
        return median([row["rank1"] for row in rows if row["rank1"] is not None])

    def _report(self) -> LinkageStudy:
        from intertwine.studies.linkage.lookup import LinkageStudy

        return LinkageStudy.of(self.to_json())

    def _page(self) -> Page:
        from intertwine.studies.linkage.page import summarise_linkage

        return summarise_linkage(self._report())

    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        from intertwine.studies.linkage.report import write_linkage_report

        return write_linkage_report(result, folder)


@renamed(say="progress")
def linkage(
    gallery: FeatureSet,
    probe: FeatureSet,
    *,
    options: FitOptions | None = None,
    known: Sequence[int | str] | None = None,
    attack: str = "both",
    overlap: Sequence[float] = (1.0,),
    n_folds: int = FOLDS,
    n_replicates: int = REPLICATES,
    precision: str = "auto",
    device: str = "cpu",
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> LinkageResult:
    """Measure how well probes of each system find their people in a gallery of each other.

    Parameters
    ----------
    gallery
        Templates of the systems under audit, one space a system, with labels as identities.
    probe
        Other images of some of these people, through the systems that an auditor has.
    options
        How maps are fitted; canonical correlation with λ = 1 when omitted, as by the command.
    known
        Numbers of people of whom one template is known in both systems, or `all`; 0 is no map. Some
        up to all when omitted.
    attack
        `paired`: maps from known pairs alone; `self-trained`: maps from known pairs and all other
        templates and probes, without their labels; or `both`.
    overlap
        Of self-trained maps, shares from 0 to 1 of the people in both sets whose templates are among
        the unlabelled ones, a condition each.
    n_folds
        Folds of people; those of one are searched for with maps fitted on people of the others.
    n_replicates
        Bootstrap samples of people.
    precision
        `auto`, `float64`, `float32` or `fast`, of the moments.
    device
        Where products are taken: `cpu`, `cuda` or `cuda:N`.
    scratch
        Folder where a study that was killed finds what it had done; nothing is kept when omitted.
    progress
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Rates; nothing that names a person.

    Raises
    ------
    InputError
        For sets without labels or people in common, spaces of one name that differ, features that
        are not finite or of zero length, more known people than there are, an attack or an overlap
        that there is not, or a method that needs heads.
    """
    options = options or FitOptions(method="cca")
    if options.needs_heads:
        raise InputError("linkage has no heads: got the analytic map, expected a fitted method")
    asked, attack, overlaps = attack, _possible(attack, options), _overlaps(overlap)
    attacks = ATTACKS[attack]
    people = People.of(gallery, probe, n_folds=n_folds)
    ladder = _ladder(known, people)
    for name in gallery.spaces.keys() & probe.spaces.keys():
        gallery.spaces[name].require(probe.spaces[name])
    resample = Resample(people, n_replicates)
    audit = Audit(gallery, probe, people, options, resample, precision, device, attacks, overlaps)
    if scratch is not None:
        key = audit.key(n_folds, n_replicates)
        saved = Checkpoints(scratch / "searches", key, "mapped")
        saved.clear()
        audit = replace(audit, saved=saved)
    pairs, cmc = audit.run(ladder, progress or (lambda *_: None))
    mapped = [row for row in pairs if row["known_pairs"]]
    if mapped and all(row["reason"] for row in mapped):
        raise InputError(f"no map can be fitted: {mapped[-1]['reason']}")
    return LinkageResult(
        facts={
            "version": metadata.version("intertwine"),
            "inputs": {
                "gallery": gallery.inputs,
                "probe": probe.inputs,
            },
            **by_weight([*_notes(people, pairs), *_unrefitted(asked, attack, options)]),
            "method": options.method,
            "alpha": options.alpha,
            "intercept": options.intercept,
            "precision": precision,
            "known": ladder,
            "attack": attack,
            "overlap": overlaps if TRAINED in attacks else None,
            "folds": n_folds,
            "replicates": n_replicates,
            "confidence": CONFIDENCE,
        },
        pairs=pairs,
        cmc=cmc,
        linkable=linkable_rows(pairs),
    )


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


def _possible(attack: str, options: FitOptions) -> str:
    """Return the attack, or of both the one that a method allows which self-training cannot refit."""
    if attack not in ATTACKS:
        raise InputError(f"got attack {attack!r}, expected one of {', '.join(ATTACKS)}")
    if options.method == "self-training":
        raise InputError("got method self-training, expected the method of pairs alone; see attack")
    if options.method in REFITS:
        return attack
    if attack == "self-trained":
        raise InputError(
            f"got method {options.method}, expected one of {', '.join(REFITS)} for attack {attack}"
        )
    return "paired"


def _unrefitted(asked: str, attack: str, options: FitOptions) -> list[str]:
    """Return a note where self-trained maps were asked for that the method cannot have."""
    if attack == asked:
        return []
    return [
        (
            f"maps are from known pairs alone: {options.method} cannot be fitted on pseudo-pairs, as "
            f"{', '.join(REFITS)} can"
        )
    ]


def _overlaps(overlap: Sequence[float]) -> list[float]:
    """Return the overlaps, each once, from the largest."""
    for each in overlap:
        if not (np.isfinite(each) and 0 <= each <= 1):
            raise InputError(f"got overlap {each:g}, expected shares from 0 to 1")
    if not len(overlap):
        raise InputError("got no overlap, expected shares from 0 to 1")
    return sorted({float(each) for each in overlap}, reverse=True)


def _notes(people: People, pairs: Sequence[Row]) -> list[str]:
    notes = list(people.notes)
    if len(people.probes) * FPIR < 1:
        notes.append(
            f"{len(people.probes)} impostor searches are too few for an FPIR of 1e-2: the threshold "
            "lets none through"
        )
    notes += [
        Doubt(
            f"probes of {row['source']} find their own people in its own templates by chance: are the rows "
            f"of {row['source']}.npy in the order of labels.npy, in both sets?"
        )
        for row in pairs
        if row["condition"] == "native" and _is_chance(row)
    ]
    notes += [
        f"{row['source']} → {row['target']}, {counted(row['known_pairs'], 'known pair')}: {row['edge']} in some folds; "
        "widen it with --alphas"
        for row in pairs
        if row.get("edge")
    ]
    reasons = {row["reason"]: row["known_pairs"] for row in pairs if row["reason"]}
    notes += [
        f"undefined with {counted(count, 'known pair')}: {reason}"
        for reason, count in reasons.items()
    ]
    return notes


def _is_chance(row: Row) -> bool:
    """Whether a condition finds no more people, first or among the first ten, than chance."""
    if row["rank1"] is None or row["chance"] is None:
        return False
    shares = (("rank1", row["chance"]), ("rank10", min(10 * row["chance"], 1.0)))
    return all(
        row[key] <= chance + CHANCE_Z * (chance * (1 - chance) / row["n_probes"]) ** 0.5
        for key, chance in shares
    )
