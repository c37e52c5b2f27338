"""How far unlabelled templates carry a link from few known people, on the bundled faces.

    python benchmarks/self_training.py [--known 100] [--overlap 1,0.25,0] [--pair A:B …] [--json FILE]

Of each person the first image is enrolled, all others are probes. The first `--known` people, in an
order that hashes decide, are known in both systems; all others are searched for in the whole gallery,
with the map of the known pairs alone and after self-training. `--overlap` is the share of the people
searched for whose template is among the unlabelled ones. `--rows N` measures time and memory instead,
of made-up templates of 512 dimensions, N a side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from intertwine.estimators import FitOptions, Fitter, PartlyPaired
from intertwine.features.feature_set import FeatureSet
from intertwine.features.rows import hash_ids
from intertwine.features.samples import FACES, find_sample, unpack_faces
from intertwine.moments.moments import Moments
from intertwine.numerics.arrays import unit_rows

if TYPE_CHECKING:
    from intertwine.maps.map_pair import MapPair
    from intertwine.numerics.arrays import Array

PAIRED, TRAINED = FitOptions(method="cca"), FitOptions(method="self-training")


def rank1(pair: MapPair, mine: Array, theirs: Array, person: Array, enrolled: Array) -> float:
    """Return how many probes find their own person first, as a share."""
    probes = unit_rows(pair.source.apply(mine), name="probes")
    gallery = unit_rows(pair.target.apply(theirs), name="gallery")
    nearest = np.concatenate(
        [(probes[i : i + 2000] @ gallery.T).argmax(axis=1) for i in range(0, len(probes), 2000)]
    )
    return float((enrolled[nearest] == person).mean())


def fitted(pairs: dict[str, Array], unpaired: dict[str, Array], options: FitOptions) -> MapPair:
    """Return the pair of maps between the two spaces of some pairs of rows."""
    source, target = pairs
    moments = Moments({name: rows.shape[1] for name, rows in pairs.items()})
    moments.update(pairs)
    fitter = Fitter(options, rows=PartlyPaired(pairs, unpaired))
    return fitter.fit(moments, source, [target])[target]


def faces(known: int, overlaps: list[float], asked: list[str]) -> list[dict[str, object]]:
    """Measure the pairs of networks asked for, all where none is."""
    with TemporaryDirectory() as folder:
        unpacked, _, _ = unpack_faces(find_sample(FACES), Path(folder))
        faces = FeatureSet.open(unpacked)
        labels = np.asarray(faces.labels)
        features = {
            name: unit_rows(faces[name].astype(np.float64), name=name) for name in faces.spaces
        }
    _, first = np.unique(labels, return_index=True)
    enrolled = np.zeros(len(labels), bool)
    enrolled[first] = True
    people = np.unique(labels[~enrolled])
    people = people[np.argsort(hash_ids(map(str, people)))]
    leaked, others = people[:known], people[known:]
    images = {person: np.flatnonzero(labels == person) for person in leaked}
    # The second image is the first probe.
    pair_rows = np.array([images[person][:2] for person in leaked])
    probes = np.flatnonzero(~enrolled & ~np.isin(labels, leaked))
    gallery = np.flatnonzero(enrolled & ~np.isin(labels, leaked))
    rows = []
    listed = [tuple(each.split(":")) for each in asked]
    for a, b in listed or itertools.permutations(features, 2):
        x, y = features[a], features[b]
        pairs = {a: x[pair_rows[:, 1]], b: y[pair_rows[:, 0]]}
        search = x[probes], y[gallery], labels[probes], labels[gallery]
        alone = rank1(fitted(pairs, {}, PAIRED), *search)
        for overlap in overlaps:
            absent = np.random.default_rng(1).permutation(others)
            absent = absent[: round(len(others) * (1 - overlap))]
            there = gallery[~np.isin(labels[gallery], absent)]
            started = time.process_time()
            trained = fitted(pairs, {a: x[probes], b: y[there]}, TRAINED)
            seconds = time.process_time() - started
            row = {"source": a, "target": b, "known": known, "overlap": overlap, "paired": alone}
            row |= {"self_trained": rank1(trained, *search), "cpu_seconds": round(seconds, 1)}
            rows.append(row | trained.source.info["self_training"])
            print(rows[-1], flush=True)
    return rows


def made_up(count: int, known: int) -> dict[str, object]:
    """Measure time and memory of `count` unlabelled templates a side."""
    rng = np.random.default_rng(0)
    cause = rng.standard_normal((count + known, 128), dtype=np.float32) * np.geomspace(1, 0.3, 128)
    rows = {}
    for name in ("a", "b"):
        turned = np.linalg.qr(rng.standard_normal((512, 128)))[0].T
        rows[name] = unit_rows((cause + 0.4 * rng.standard_normal(cause.shape)) @ turned, name=name)
        rows[name] = rows[name].astype(np.float32)
    before, started = peak(), time.perf_counter()
    trained = fitted(
        {name: each[:known] for name, each in rows.items()},
        {name: each[known:] for name, each in rows.items()},
        TRAINED,
    )
    seconds = time.perf_counter() - started
    limit = time.perf_counter()
    for start in range(0, count, 1000):
        rows["a"][start : start + 1000, :128] @ rows["b"][:count, :128].T
    limit = time.perf_counter() - limit
    row = {"rows": count, "known": known, "seconds": seconds, "products_seconds": limit}
    row |= {"gib_before": before, "gib_peak": peak()} | trained.source.info["self_training"]
    print(row, flush=True)
    return row


def peak() -> float:
    """Return the largest memory this process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Read the arguments, measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--known", type=int, default=100)
    parser.add_argument("--overlap", default="1,0.25,0")
    parser.add_argument("--pair", action="append", default=[])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    overlaps = [float(each) for each in arguments.overlap.split(",")]
    if arguments.rows:
        found: object = made_up(arguments.rows, arguments.known)
    else:
        found = faces(arguments.known, overlaps, arguments.pair)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
