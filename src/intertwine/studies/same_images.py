"""Rows that are in two sets: images by their ids, or rows that are equal number by number."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import Doubt
from intertwine.features.feature_set import CHUNK_ROWS
from intertwine.features.fitted_on import hexadecimal, rounded_hashes
from intertwine.features.rows import content_hashes
from intertwine.inputs.images.image_ids import ImageIds, split_id
from intertwine.maps.map_pair import MapPair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array

# Two encodings of one image are nearer to each other than this, two images of one person are not.
_ONE_IMAGE = 0.95


def same_images(gallery: FeatureSet, probe: FeatureSet) -> Array:
    """Return which probes are images of the gallery by their ids, (n_probe,) bool.

    A whole id is enough. Where folders or extensions differ, a name must be the only one of its kind on
    both sides, the labels must agree, and so must the vectors in a space that both sides have.
    """
    inside = np.isin(probe.id_hashes, gallery.id_hashes)
    if inside.all():
        return inside
    found = _by_short_ids(gallery.ids(), probe.ids(), skip=inside)
    rows = np.array(sorted(found), np.int64)
    others = np.array([found[row] for row in rows], np.int64)
    assert gallery.labels is not None  # noqa: S101 - checked before
    assert probe.labels is not None  # noqa: S101
    agree = probe.labels[rows] == gallery.labels[others]
    rows, others = rows[agree], others[agree]
    inside[rows[_alike(gallery, others, probe, rows)]] = True
    return inside


def _by_short_ids(theirs: Sequence[str], mine: Sequence[str], *, skip: Array) -> dict[int, int]:
    """Return the row of theirs that each of some rows of mine may be, without a whole id."""
    last = [[split_id(name)[0][-1] for name in side] for side in (theirs, mine)]
    alone = [{name for name, count in Counter(side).items() if count == 1} for side in last]
    row_of = {name: row for row, name in enumerate(last[0]) if name in alone[0]}
    agreeing = ImageIds(theirs).find(mine)
    found = {}
    for row, name in enumerate(mine):
        if skip[row]:
            continue
        if len(agreeing[name]) == 1:
            found[row] = agreeing[name][0]
        elif last[1][row] in alone[1] and last[1][row] in row_of:
            found[row] = row_of[last[1][row]]
    return found


def _alike(gallery: FeatureSet, templates: Array, probe: FeatureSet, probes: Array) -> Array:
    """Return whether rows point the same way in every space that both sides have, (n,) bool."""
    alike = np.ones(len(probes), bool)
    for name in gallery.spaces.keys() & probe.spaces.keys():
        for start in range(0, len(probes), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            a = _read(gallery, name, templates[part])
            b = _read(probe, name, probes[part])
            products = np.einsum("ij,ij->i", a, b)
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            alike[part] &= products >= _ONE_IMAGE * lengths
    return alike


def _read(side: FeatureSet, name: str, rows: Array) -> Array:
    order = np.argsort(rows, kind="stable")
    return side.read([name], rows[order])[name].astype(np.float64)[np.argsort(order)]


def equal_rows(gallery: FeatureSet, probe: FeatureSet) -> tuple[Array, Array]:
    """Return which probes equal a template in every shared space, of its label and of another.

    Both are (n_probe,) bool. Rows that repeat within a set, as those of a network whose output
    never changes, are no evidence and do not count; nor do rows with a negative label, whose person
    is unknown.
    """
    names = sorted(gallery.spaces.keys() & probe.spaces.keys())
    copies, strangers = np.zeros((2, probe.n), bool)
    if not names:
        return copies, strangers
    assert gallery.labels is not None  # noqa: S101 - checked before
    assert probe.labels is not None  # noqa: S101
    halves = _halves((gallery, probe), names)
    theirs, mine = (
        shared_row_hashes(side, names, halves=halves).tolist() for side in (gallery, probe)
    )
    count, again = Counter(theirs), Counter(mine)
    label_of = dict(zip(theirs, gallery.labels.tolist(), strict=True))
    for row, (key, label) in enumerate(zip(mine, probe.labels.tolist(), strict=True)):
        if count[key] == again[key] == 1 and min(label, label_of[key]) >= 0:
            (copies if label_of[key] == label else strangers)[row] = True
    return copies, strangers


def rows_in_both(fit: FeatureSet, evaluation: FeatureSet, names: Sequence[str]) -> Array:
    """Return which evaluation rows equal a fit row in all of some spaces, (n_eval,) bool.

    The smallest space is compared first; the others are read only of rows that are equal in it.
    """
    smallest = min(names, key=lambda name: fit.spaces[name].dim)
    sides, rows = (evaluation, fit), [np.arange(evaluation.n), np.arange(fit.n)]
    halves = _halves(sides, names)
    for compared in ([smallest], names):
        mine, theirs = (
            shared_row_hashes(side, compared, part, halves=halves)
            for side, part in zip(sides, rows, strict=True)
        )
        rows = [rows[0][np.isin(mine, theirs)], rows[1][np.isin(theirs, mine)]]
    inside = np.zeros(evaluation.n, bool)
    inside[rows[0]] = True
    return inside


def shared_row_hashes(
    side: FeatureSet,
    names: Sequence[str],
    rows: Array | None = None,
    *,
    halves: frozenset[str] = frozenset(),
) -> Array:
    """Return a hash of each row's features in some spaces, (k,) uint64; of all rows when omitted.

    Spaces in `halves` are compared as float16, since another set stores them so.
    """
    hashes: list[Array] = []
    for _, chunk in side.chunks(names, rows):
        mixed = np.zeros(len(chunk[names[0]]), np.uint64)
        for name in names:
            # A row of one space is not that of another.
            features = _as_half(chunk[name]) if name in halves else chunk[name]
            mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + content_hashes(features)
        hashes.append(mixed)
    return np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)


def _halves(sides: Sequence[FeatureSet], names: Sequence[str]) -> frozenset[str]:
    """Return the spaces that any of some sets stores as float16."""
    first = [side.read(names, range(1)) for side in sides]
    return frozenset(
        name for name in names if any(rows[name].dtype == np.float16 for rows in first)
    )


def _as_half(features: Array) -> Array:
    with np.errstate(over="ignore"):
        return features.astype(np.float16)


def fitted_too(tested: FeatureSet, fit: FeatureSet) -> list[str]:
    """Return a doubt about rows of the tested set that its maps were fitted on, if there are any."""
    equal = int(rows_in_both(fit, tested, list(tested.spaces)).sum())
    if equal:
        return [
            Doubt(
                f"{equal} of {tested.n} images of {tested} are in {fit} too, which maps were fitted on: "
                "rates are too good"
            )
        ]
    named = int(np.isin(tested.id_hashes, fit.id_hashes).sum())
    if not (named and tested.has_ids and fit.has_ids):
        return []
    return [
        Doubt(
            f"{named} of {tested.n} images of {tested} have ids of {fit}, which maps were fitted on: "
            "are they the same images?"
        )
    ]


def fitted_before(
    tested: FeatureSet, maps: Mapping[tuple[str, str], LinearMap | MapPair]
) -> list[str]:
    """Return a doubt where ready maps were, or may have been, fitted on rows of the tested set.

    What the maps record of their own fit rows is compared with the set's rows.
    """
    kept = [
        (source, (each.source if isinstance(each, MapPair) else each).fitted_on)
        for (source, _), each in maps.items()
    ]
    known = [(source, facts) for source, facts in kept if facts is not None]
    ids = set(hexadecimal(tested.id_hashes)) if tested.has_ids else set()
    features = {name: _distinct(tested, name) for name in dict(known)}
    found = [(_in_both(facts, ids, features[name]), facts) for name, facts in known]
    count, facts = max(found, key=lambda pair: pair[0], default=(0, None))
    if facts is not None and count:
        shown = len(facts["features"])
        of = "" if shown == facts["rows"] else f", a sample of {facts['rows']:,}"
        return [
            Doubt(
                f"these maps were fitted on images of {tested}, which are tested: {count} of {shown} that "
                f"a map keeps a mark of{of}; rates are too good"
            )
        ]
    why = _unknown(tested, len(kept) - len(known), [facts for _, facts in known if facts["rows"]])
    if why is None:
        return []
    return [Doubt(f"these maps may have been fitted on images tested here: not known, since {why}")]


def _unknown(tested: FeatureSet, without: int, known: Sequence[dict[str, Any]]) -> str | None:
    """Return why it is unknown whether maps were fitted on rows of a set; None where it is known."""
    if without:
        return "they keep no mark of those they were fitted on"
    if known and not tested.has_ids:
        return f"{tested} has no ids.txt"
    if any(facts["ids"] is None for facts in known):
        return "the images that they were fitted on had no ids.txt"
    return None


def _distinct(side: FeatureSet, name: str) -> set[str]:
    """Return hashes of the rows of a space that do not repeat, as a map records them."""
    hashes = np.concatenate([rounded_hashes(chunk[name]) for _, chunk in side.chunks([name])])
    values, counts = np.unique(hashes, return_counts=True)
    return set(hexadecimal(values[counts == 1]))


def _in_both(facts: dict[str, Any], ids: set[str], features: set[str]) -> int:
    """Return how many of the rows that a map records are in a set, by id or by features."""
    rows = zip_longest(facts["ids"] or (), facts["features"])
    return sum(name in ids or row in features for name, row in rows)
