"""Galleries and probes of made-up people, and the linkage study again, a search at a time."""

from __future__ import annotations

import hashlib

import numpy as np

# Labels and ids that cannot be taken for a number of the report.
FIRST_LABEL = 7_318_046_001


def label(person):
    """Return the label of a person."""
    return FIRST_LABEL + 37 * person


def features(dims, people, *, seed, noise=0.25, latent=16, alike=False):
    """Return rows of several systems for a list of people: each sees the person in its own way.

    Systems that are alike keep distances among people.
    """
    systems = np.random.default_rng([7, latent])
    person = systems.standard_normal((400, latent))
    views = {name: systems.standard_normal((latent, dim)) for name, dim in dims.items()}
    if alike:
        views = {name: np.linalg.qr(view.T)[0].T for name, view in views.items()}
    rng = np.random.default_rng([seed, 1])
    cause = person[people] + noise * rng.standard_normal((len(people), latent))
    return {name: (cause @ view).astype(np.float32) for name, view in views.items()}


def write_sets(
    folder,
    write_folder,
    *,
    gallery_people=60,
    probed=30,
    unknown=4,
    gallery_dims=(("a", 20), ("b", 24)),
    probe_dims=(("a", 20), ("b", 24)),
    noise=0.25,
    ids=True,
    alike=False,
):
    """Write `gallery` and `probe` folders: two templates of some people, two or three probes."""
    rng = np.random.default_rng(3)
    enrolled = np.concatenate([np.arange(gallery_people), np.arange(0, gallery_people, 3)])
    searched = np.concatenate(
        [np.arange(probed), np.arange(probed), np.arange(0, probed, 2), 300 + np.arange(unknown)]
    )
    for name, people, dims, seed in (
        ("gallery", rng.permutation(enrolled), gallery_dims, 1),
        ("probe", rng.permutation(searched), probe_dims, 2),
    ):
        # Both sides see through the same systems, whichever of them a side has.
        every = features({"a": 20, "b": 24}, people, seed=seed, noise=noise, alike=alike)
        write_folder(
            folder / name,
            {key: every[key] for key, _ in dims},
            labels=np.array([label(person) for person in people]),
            ids=[f"Wren_Okafor_{name}_{row:04d}" for row in range(len(people))] if ids else None,
        )
    return folder / "gallery", folder / "probe"


def by_hash(labels):
    """Return labels in the order of a hash of their text."""

    def key(value):
        return int.from_bytes(
            hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little"
        )

    return sorted(set(labels), key=key)


def unit(rows):
    """Return rows of length 1."""
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def first_row(labels, ids, person):
    """Return the row of a person whose id has the smallest hash."""

    def key(row):
        return int.from_bytes(hashlib.blake2b(ids[row].encode(), digest_size=8).digest(), "little")

    return min((row for row in range(len(labels)) if labels[row] == person), key=key)


class Naive:
    """The linkage study of two folders, one search after another, by its definition."""

    def __init__(self, gallery, probe, source, target, *, n_folds=5):
        self.templates, self.probes = (
            unit(np.load(gallery / f"{target}.npy")),
            unit(np.load(probe / f"{source}.npy")),
        )
        self.enrolled = np.load(gallery / "labels.npy").tolist()
        self.searched = np.load(probe / "labels.npy").tolist()
        self.ids = [(x / "ids.txt").read_text().split() for x in (gallery, probe)]
        both = set(self.enrolled) & set(self.searched)
        self.shared = by_hash(both)
        self.fold, self.half = {}, {}
        for group in (self.shared, by_hash(set(self.searched) - both)):
            for place, person in enumerate(group):
                self.fold[person] = place % n_folds
                self.half[person] = place // n_folds % 2

    def known(self, fold, count):
        """Return the known people of a fold."""
        return [person for person in self.shared if self.fold[person] != fold][:count]

    def bridge(self, fold, count, alpha):
        """Return a function from a probe to the gallery's space, by scikit-learn's ridge."""
        from sklearn.linear_model import Ridge

        if not count:
            dim = self.templates.shape[1]
            return lambda row: np.concatenate([row, np.zeros(dim)])[:dim]
        pairs = [
            (
                self.probes[first_row(self.searched, self.ids[1], person)],
                self.templates[first_row(self.enrolled, self.ids[0], person)],
            )
            for person in self.known(fold, count)
        ]
        x, y = (np.stack(side) for side in zip(*pairs, strict=True))
        fitted = Ridge(alpha=alpha).fit(x, y)
        return lambda row: fitted.predict(row[None])[0]

    def scores(self, row, bridge):
        """Return the cosine of one mapped probe with every template."""
        mapped = bridge(self.probes[row])
        return self.templates @ mapped / np.linalg.norm(mapped)

    def run(self, count, alpha=1.0):
        """Return (rank, best as mate, right, best as impostor) of each probe, and its scores."""
        found = []
        for row, person in enumerate(self.searched):
            fold, half = self.fold[person], self.half[person]
            bridge, known = self.bridge(fold, count, alpha), self.known(fold, count)
            scores = self.scores(row, bridge)
            best, mated, non_mated = {}, [], []
            for score, other in zip(scores, self.enrolled, strict=True):
                if other in known:
                    continue
                best[other] = max(score, best.get(other, -2.0))
                (mated if other == person else non_mated).append(score)

            def withheld(other, which, fold=fold):
                return self.fold.get(other) == fold and self.half[other] == which

            as_mate = {k: v for k, v in best.items() if not withheld(k, 1 - half)}
            as_impostor = {k: v for k, v in best.items() if not withheld(k, half)}
            rank = sum(v >= best[person] for v in best.values()) if person in best else 0
            right = person in best and max(as_mate, key=as_mate.get) == person
            found.append(
                {
                    "rank": rank,
                    "mate": max(as_mate.values()),
                    "right": right,
                    "impostor": max(as_impostor.values()),
                    "mated": mated,
                    "non_mated": non_mated,
                    "n_gallery": len(best),
                }
            )
        return found
