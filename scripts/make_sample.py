"""Make the bundled sample from a feature set that `intertwine extract` wrote.

python scripts/make_sample.py FEATURE_SET sample/imagenet.npz --control googlenet.untrained
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from intertwine.features.feature_set import FeatureSet
from intertwine.features.samples import decode, decode_head, encode, encode_head

# Published top-1 (share) of the float networks on the whole ILSVRC2012 validation set, centre crop.
REPORTED = {
    "googlenet": 0.687,
    "mobilenet_v1": 0.709,
    "mobilenet_v2": 0.718,
    "mobilenet_v3": 0.723,
}
N_EVAL = 1300
NOTE = (
    "The sample: features of ILSVRC2012 validation images 1–4000, each squashed to 227 × 227 and "
    "cut to its central 224 × 224 (so native accuracies lie a few points under the published ones, "
    "which cut a square from the whole image), stored at 8 bits. What 8 bits cost, on all 4,000 "
    "rows:"
)


def main() -> None:
    """Read the arguments, write the sample and print what 8 bits cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("feature_set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--control", action="append", default=[])
    arguments = parser.parse_args()
    feature_set = FeatureSet.open(arguments.feature_set)
    rows = range(feature_set.n)
    # The hash of an id decides the side, so that neither side is sorted by anything.
    is_eval = np.zeros(feature_set.n, bool)
    is_eval[np.argsort(feature_set.id_hashes)[:N_EVAL]] = True
    ids = (arguments.feature_set / "ids.txt").read_text().split()
    parts = {
        "labels": feature_set.labels.astype(np.int16),
        "ids": np.array(ids),
        "is_eval": is_eval,
    }
    spaces, costs = {}, []
    for name in feature_set.spaces:
        features = feature_set.read([name], rows)[name].astype(np.float32)
        head = feature_set.heads[name]
        packed, packed_head = encode(features), encode_head(head)
        parts |= {f"{name}.{key}": value for key, value in packed.items()}
        parts |= {f"{name}.head.{key}": value for key, value in packed_head.items()}
        before = head.logits(features).argmax(axis=1)
        after = decode_head(packed_head).logits(decode(packed)).argmax(axis=1)
        right = [(guess == feature_set.labels).mean() for guess in (before, after)]
        costs.append(
            f"{name}: top-1 {100 * right[0]:.2f} → {100 * right[1]:.2f} %, "
            f"{100 * (before == after).mean():.2f} % of predictions the same"
        )
        info = feature_set.info[name]
        kept = {key: info[key] for key in ("fingerprint", "crop", "parameters") if key in info}
        spaces[name] = {
            **kept,
            "encoder": Path(str(info.get("encoder", name)).split("?")[0]).name,
            "reported_top1": REPORTED.get(name),
        }
    facts = {"spaces": spaces, "controls": arguments.control, "notes": [NOTE, *costs]}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out, facts=np.array(json.dumps(facts)), **parts)
    print("\n".join(costs))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
