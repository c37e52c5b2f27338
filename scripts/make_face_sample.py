"""Make the bundled faces from a feature set that `intertwine extract` wrote and a list of pairs.

python scripts/make_face_sample.py FEATURE_SET PAIRS sample/faces.npz --space facenet_casia …

Images, people and pairs within their folds are numbered at random from the system's own entropy.
The order is not kept anywhere, so that a second run makes another file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from intertwine.features.feature_set import FeatureSet
from intertwine.features.samples import decode, encode
from intertwine.metrics.fold_accuracy import fold_accuracy
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.trials import native_scores

NOTE = (
    "The sample: embeddings of the 7,701 images that the pairs of Labeled Faces in the Wild name "
    "(deep-funneled; MTCNN), at 8 bits. Images, people and pairs within folds are numbered at "
    "random and the key was not kept; embeddings remain pseudonymous personal data. What 8 bits "
    "cost:"
)


def main() -> None:
    """Read the arguments, write the sample and print what 8 bits cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("feature_set", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--space", action="append", required=True)
    arguments = parser.parse_args()
    feature_set = FeatureSet.open(arguments.feature_set)
    data = VerificationSet.of(feature_set, read_pairs(arguments.pairs))
    rng = np.random.default_rng()  # seeded by the system; never printed
    row_of, person_of = rng.permutation(data.n_images), rng.permutation(data.n_people)
    order = np.lexsort((rng.random(len(data.same)), data.fold))
    parts = {
        "person": person_of[data.person][np.argsort(row_of)].astype(np.int16),
        "first": row_of[data.first][order].astype(np.int16),
        "second": row_of[data.second][order].astype(np.int16),
        "same": data.same[order],
        "fold": (data.fold[order] + 1).astype(np.int8),
    }
    spaces, costs = {}, []
    for name in arguments.space:
        # On the unit sphere, so that the sample holds only the direction of each image.
        unit = data.features[name]
        packed = encode(unit[np.argsort(row_of)])
        parts |= {f"{name}.{key}": value for key, value in packed.items()}
        decoded = decode(packed)[row_of].astype(np.float64)
        decoded /= np.linalg.norm(decoded, axis=1, keepdims=True)
        coarse = np.einsum("ij,ij->i", decoded[data.first], decoded[data.second])
        before, after = (
            fold_accuracy(scores, data.same, data.fold).mean
            for scores in (native_scores(data, name), coarse)
        )
        costs.append(f"{name}: {100 * before:.2f} → {100 * after:.2f} %")
        info = feature_set.info[name]
        spaces[name] = {
            **{key: info[key] for key in ("fingerprint", "parameters") if key in info},
            "encoder": Path(str(info.get("encoder", name)).split("?")[0]).name,
        }
    facts = {"spaces": spaces, "notes": [NOTE + " " + ", ".join(costs)]}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out, facts=np.array(json.dumps(facts)), **parts)
    print("\n".join(costs))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
