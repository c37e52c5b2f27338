"""Make the small sample that the package itself carries from that of the checkout.

python scripts/make_small_sample.py sample/imagenet.npz src/intertwine/features/imagenet-small.npz

Three networks, the hundred classes with most images, `N_EVAL` images of these to score, and `N_FIT`
others, without labels, to fit maps on. Every number is that of the whole sample.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from intertwine.features.samples import UNLABELLED

NETWORKS = ("googlenet", "mobilenet_v1", "mobilenet_v2")
N_CLASSES, N_EVAL, N_FIT = 100, 300, 900
NOTE = (
    "The small sample that comes with the package: features of {n} ILSVRC2012 validation images "
    "through three networks, whose classifiers read the {k} classes with most images, stored at 8 bits. "
    "With a checkout, whose whole sample has 4,000 images and 1,000 classes, the demo has other numbers."
)


def main() -> None:
    """Read the arguments, write the small sample and print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    stored = np.load(arguments.sample, allow_pickle=False)
    facts, labels = json.loads(str(stored["facts"])), stored["labels"]
    classes = np.sort(np.argsort(-np.bincount(labels), kind="stable")[:N_CLASSES])
    random = np.random.default_rng(0)
    evaluation = random.permutation(np.flatnonzero(np.isin(labels, classes)))[:N_EVAL]
    others = np.setdiff1d(np.arange(len(labels)), evaluation)
    rows = np.sort(np.concatenate([evaluation, random.permutation(others)[:N_FIT]]))
    is_eval = np.isin(rows, evaluation)
    numbers = np.where(is_eval, np.searchsorted(classes, labels[rows]), UNLABELLED)
    parts = {
        "labels": numbers.astype(np.int16),
        "ids": stored["ids"][rows],
        "is_eval": is_eval,
    }
    for name in NETWORKS:
        parts[f"{name}.codes"] = stored[f"{name}.codes"][rows]
        parts |= {f"{name}.{part}": stored[f"{name}.{part}"] for part in ("scale", "offset")}
        for part in ("codes", "scale", "bias"):
            parts[f"{name}.head.{part}"] = stored[f"{name}.head.{part}"][classes]
    # What is published of the networks holds for all classes.
    spaces = {
        name: {**facts["spaces"][name], "reported_top1": None, "fingerprint": None}
        for name in NETWORKS
    }
    notes = [NOTE.format(n=f"{len(rows):,}", k=N_CLASSES)]
    small = {"spaces": spaces, "controls": [], "notes": notes}
    np.savez_compressed(arguments.out, facts=np.array(json.dumps(small)), **parts)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
