"""The closed-set study's data: two feature sets, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import Doubt, InputError
from intertwine.estimators.analytic import check_classes
from intertwine.studies.closed_set import fresh
from intertwine.studies.same_images import rows_in_both
from intertwine.wording import counted, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head


@dataclass(frozen=True)
class ClosedSetData:
    """A fit set and an evaluation set over the same spaces, with heads and class numbers.

    `names` holds networks first, controls last. `labels`, (n_eval,), and `fit_labels`, (n_fit,) or
    None, are class numbers 0 … K−1; the latter only state class coverage. `overlap` is the number
    of evaluation rows that are fit rows too.
    """

    fit: FeatureSet
    evaluation: FeatureSet
    names: list[str]
    controls: list[str]
    heads: dict[str, Head]
    labels: Array
    fit_labels: Array | None
    notes: list[str]
    overlap: int = 0

    @property
    def networks(self) -> list[str]:
        """The spaces that are not controls."""
        return [name for name in self.names if name not in self.controls]

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return self.heads[self.names[0]].n_classes

    @classmethod
    def of(
        cls,
        fit: FeatureSet,
        evaluation: FeatureSet,
        *,
        controls: Sequence[str] = (),
        allow_overlap: bool = False,
    ) -> ClosedSetData:
        """Check two feature sets against each other.

        Spaces, heads, classes or labels that are missing or do not match raise InputError; so do
        fewer than two rows to fit on, and rows in both sets unless `allow_overlap`.
        """
        notes = [*fit.notes, *evaluation.notes]
        names = _shared_spaces(fit, evaluation, notes)
        for name in controls:
            if name not in names:
                raise InputError(f"got control {name!r}, expected one of the spaces {named(names)}")
        if fresh.NAME in names:
            raise InputError(f"space {fresh.NAME}: the study makes one of this name; rename yours")
        names = [a for a in names if a not in controls] + [a for a in names if a in controls]
        if len(names) < 2:
            raise InputError(
                f"got {counted(len(names), 'space')} in both sets, expected at least two"
            )
        if fit.n < 2:
            raise InputError(
                f"{fit}: got n = {counted(fit.n, 'row')}, expected at least 2 to fit a map"
            )
        heads = {name: _head(name, fit, evaluation) for name in names}
        for name in names[1:]:
            check_classes(heads[names[0]], heads[name], f"{names[0]} and {name}")
        if evaluation.labels is None:
            absent = "labels" if evaluation.in_memory else "labels.npy"
            raise InputError(f"{evaluation}: no {absent}; accuracy needs a label for each row")
        classes = heads[names[0]].classes
        labels = _class_numbers(evaluation, evaluation.labels, classes)
        overlap, doubts = _overlap(fit, evaluation, names, allowed=allow_overlap)
        return cls(
            fit=fit,
            evaluation=evaluation,
            names=names,
            controls=[name for name in names if name in controls],
            heads=heads,
            labels=labels,
            fit_labels=None if fit.labels is None else _class_numbers(fit, fit.labels, classes),
            notes=[*notes, *doubts],
            overlap=overlap,
        )


def _overlap(
    fit: FeatureSet, evaluation: FeatureSet, names: Sequence[str], *, allowed: bool
) -> tuple[int, list[str]]:
    """Return how many rows are in both sets, with a doubt; raise where that is not allowed."""
    with_ids = fit.has_ids and evaluation.has_ids
    if with_ids:
        count = int(np.isin(evaluation.id_hashes, fit.id_hashes).sum())
    else:
        count = int(rows_in_both(fit, evaluation, names).sum())
    if not count:
        copies = int(rows_in_both(fit, evaluation, names).sum()) if with_ids else 0
        told = f"{counted(copies, 'evaluation row equals', 'evaluation rows equal')} a row of the fit set under another id"
        return 0, [Doubt(f"{told}: were they fitted on?")] if copies else []
    of = f"{count} of {evaluation.n} evaluation rows"
    if allowed:
        return count, [Doubt(f"{of} were also fitted on: scores are too good")]
    raise InputError(
        f"{of} are in the fit set {fit} too, by their {'ids' if with_ids else 'values'}: scores would be "
        "too good; keep rows apart for --eval, or allow it (--allow-overlap, allow_overlap=True)"
    )


def _shared_spaces(fit: FeatureSet, evaluation: FeatureSet, notes: list[str]) -> list[str]:
    names = [name for name in fit.spaces if name in evaluation.spaces]
    left_out = sorted(set(fit.spaces) ^ set(evaluation.spaces))
    if left_out:
        notes.append(f"left out, being in only one of the two sets: {', '.join(left_out)}")
    for name in names:
        fit.spaces[name].require(evaluation.spaces[name])
    return names


def _head(name: str, fit: FeatureSet, evaluation: FeatureSet) -> Head:
    heads = [each.heads[name] for each in (evaluation, fit) if name in each.heads]
    if not heads and evaluation.in_memory:
        raise InputError(
            f"space {name} has no head; pass its weight and bias to FeatureSet.from_arrays in heads"
        )
    if not heads:
        raise InputError(
            f"space {name} has no head; put {name}.head.safetensors (weight, bias) beside "
            f"{name}.npy in {evaluation}"
        )
    if heads[0].fingerprint() != heads[-1].fingerprint():
        raise InputError(
            f"space {name}: its heads in {fit} and {evaluation} differ, and one must score; the one of "
            f"--eval is used where --fit has none: remove the wrong {name}.head.safetensors"
        )
    return heads[0]


def _class_numbers(feature_set: FeatureSet, labels: Array, classes: Array) -> Array:
    """Return the position of each label among the heads' classes, (n,) int64."""
    sorter = np.argsort(classes)
    place = np.searchsorted(classes, labels, sorter=sorter)
    numbers = sorter[np.minimum(place, len(classes) - 1)]
    bad = np.flatnonzero(classes[numbers] != labels)
    if bad.size:
        raise InputError(
            f"{feature_set}: label {labels[bad[0]]} of row {bad[0]} is out of range: none of the "
            f"heads' {len(classes)} classes ({classes.min()} … {classes.max()})"
        )
    return np.asarray(numbers)
