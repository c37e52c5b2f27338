"""Who is searched for, who is known, and whose templates are withheld: the people of the audit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import Doubt, InputError
from intertwine.inputs.images.faces.cache import faceless, faceless_note
from intertwine.studies.same_images import equal_rows, same_images
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array

FOLDS = 5
# Each half of a fold needs somebody: one half is enrolled while the other half is not.
MIN_PER_FOLD = 2
NOBODY = -1


@dataclass(frozen=True)
class People:
    """The people of a gallery and of the probes, numbered 0 … n−1, and the part each plays.

    People who are in both sets are split by a hash of their label into folds, and each fold into
    two halves. The numbers stay inside the study: nothing that names a person leaves it, in `notes`
    neither.

    `gallery` (n_templates,) and `probes` (n_probes,) hold the person of each row used,
    `template_rows` and `probe_rows` the ascending rows of the sets that are used. `fold` and `half`
    (n_people,) are −1 for people of the gallery alone. `shared` are the people who are in both
    sets, in the order in which they become known, and `first_probe` and `first_template`
    (n_people,) the probe and the template used by which a known person is known, −1 where there is
    none.
    """

    gallery: Array
    probes: Array
    template_rows: Array
    probe_rows: Array
    fold: Array
    half: Array
    shared: Array
    first_probe: Array
    first_template: Array
    n_folds: int
    notes: list[str]

    @cached_property
    def searched(self) -> Array:
        """The people who have probes, ascending; all counts by person are of these."""
        return np.flatnonzero(self.fold != NOBODY)

    @cached_property
    def place(self) -> Array:
        """(n_probes,) where each probe's person is in `searched`."""
        return np.searchsorted(self.searched, self.probes)

    @property
    def max_known(self) -> int:
        """The most people that can be known in every fold."""
        return len(self.shared) - -(-len(self.shared) // self.n_folds)

    def known(self, fold: int, count: int) -> Array:
        """Return the people who are known when a fold is searched: nested in their count."""
        return np.asarray(self.shared[self.fold[self.shared] != fold][:count])

    def left_out(self, overlap: float) -> Array:
        """Return the people without an unlabelled template where only a share has one.

        Those of a larger overlap are among those of a smaller one.
        """
        mixed = np.random.default_rng(0).permutation(self.shared)
        return np.asarray(mixed[: round(len(mixed) * (1 - overlap))])

    @classmethod
    def of(cls, gallery: FeatureSet, probe: FeatureSet, *, n_folds: int = FOLDS) -> People:
        """Return the people of two sets by their labels, none of their images in both."""
        enrolled_as, searched_as = _identities(gallery), _identities(probe)
        if n_folds < 2:
            raise InputError(f"got {counted(n_folds, 'fold')}, expected at least 2")
        rows, notes = _probe_rows(gallery, probe)
        template_rows = np.flatnonzero(enrolled_as >= 0)
        labels, numbers = np.unique(
            np.concatenate([enrolled_as[template_rows], searched_as[rows]]), return_inverse=True
        )
        templates, probes = np.split(numbers, [len(template_rows)])
        n_people = len(labels)
        enrolled, searched = (
            np.bincount(part, minlength=n_people) > 0 for part in (templates, probes)
        )
        order = np.argsort([_hash(label) for label in labels.tolist()], kind="stable")
        shared = order[(enrolled & searched)[order]]
        _check(len(shared), n_folds, gallery, probe)
        fold, half = np.full((2, n_people), NOBODY)
        for group in (shared, order[(searched & ~enrolled)[order]]):
            place = np.arange(len(group))
            fold[group], half[group] = place % n_folds, place // n_folds % 2
        return cls(
            gallery=templates,
            probes=probes,
            template_rows=template_rows,
            probe_rows=rows,
            fold=fold,
            half=half,
            shared=shared,
            first_probe=_first(probes, probe.id_hashes[rows], n_people),
            first_template=_first(templates, gallery.id_hashes[template_rows], n_people),
            n_folds=n_folds,
            notes=notes,
        )


def _identities(side: FeatureSet) -> Array:
    if side.labels is None:
        labels = "labels" if side.in_memory else "labels.npy"
        raise InputError(f"{side}: no {labels}; linkage needs the identity of each row")
    if (side.labels < 0).all():
        raise InputError(
            f"{side}: every label is negative, which says that nobody is known; linkage needs the "
            "identity of each row"
        )
    return side.labels


def _nameless(side: FeatureSet, what: str) -> list[str]:
    """Return a doubt about the rows whose label names nobody, if there are any."""
    assert side.labels is not None  # noqa: S101 - checked before
    count = int((side.labels < 0).sum())
    if not count:
        return []
    return [
        Doubt(
            f"{count} of {side.n} {what} left out: their label is negative, so nobody knows who is shown"
        )
    ]


def _probe_rows(gallery: FeatureSet, probe: FeatureSet) -> tuple[Array, list[str]]:
    """Return the probes that are no images of the gallery: those would be found trivially."""
    assert gallery.labels is not None  # noqa: S101 - checked before
    assert probe.labels is not None  # noqa: S101
    notes = [*gallery.notes, *probe.notes]
    notes += [*_nameless(gallery, "templates"), *_nameless(probe, "probes")]
    nameless = probe.labels < 0
    inside = np.zeros(probe.n, bool)
    if gallery.has_ids and probe.has_ids:
        inside = same_images(gallery, probe)
    elif gallery is probe or {p.resolve() for p in gallery.paths} & {
        p.resolve() for p in probe.paths
    }:
        raise InputError(f"{gallery} is gallery and probes: each image would find itself")
    else:
        notes.append("without ids.txt on both sides, an image that is in both cannot be told")
    inside &= ~nameless
    if inside.any():
        notes.append(
            f"{counted(inside.sum(), 'probe')} left out: the same images are in the gallery"
        )
    copies, strangers = equal_rows(gallery, probe)
    copies &= ~inside
    if copies.any():
        notes.append(
            Doubt(
                f"{counted(copies.sum(), 'more probe')} left out: their vectors are a template's of the same person, "
                "number by number, under another id"
            )
        )
    if strangers.any():
        notes.append(
            Doubt(
                f"{counted(strangers.sum(), 'probe has', 'probes have')} the very vector of another person's template: are labels "
                "in the order of the rows, and does every image show a face?"
            )
        )
    inside |= copies | nameless
    if inside.all():
        labelled = " that has a label" if nameless.any() else ""
        raise InputError(
            f"every image of {probe}{labelled} is in {gallery} too: nothing is left to search for (folders and "
            "extensions of ids count only where names repeat)"
        )
    rows = np.flatnonzero(~inside)
    return rows, [
        *notes,
        *_without_face(gallery, np.flatnonzero(gallery.labels >= 0), "templates of the gallery"),
        *_without_face(probe, rows, "probes"),
    ]


def _without_face(side: FeatureSet, rows: Array, what: str) -> list[str]:
    known, notes = faceless(side.paths)
    if not known or not side.has_ids:
        return notes
    ids = side.ids()
    return [*notes, *faceless_note([ids[row] for row in rows], known, what)]


def _check(n_shared: int, n_folds: int, gallery: FeatureSet, probe: FeatureSet) -> None:
    if n_shared == 0:
        raise InputError(
            f"no person is in both {gallery} and {probe}: no label of one is in the other"
        )
    if n_shared < MIN_PER_FOLD * n_folds:
        raise InputError(
            f"got {counted(n_shared, 'person', 'people')} in both sets, expected at least {MIN_PER_FOLD * n_folds}, "
            f"{MIN_PER_FOLD} a fold; a rate over fewer would point at people"
        )


def _first(people: Array, id_hashes: Array, n_people: int) -> Array:
    """Return one row of each person, the same however the rows lie; −1 where there is none."""
    order = np.argsort(id_hashes, kind="stable")
    first = np.full(n_people, NOBODY)
    present, place = np.unique(people[order], return_index=True)
    first[present] = order[place]
    return first


def _hash(label: int) -> int:
    digest = hashlib.blake2b(str(label).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
