"""Marks of the rows that maps are fitted on."""

import hashlib

import numpy as np

from intertwine.features.feature_set import FeatureSet
from intertwine.features.fitted_on import SAMPLE, fitted_on


def test_marks_are_hashes_of_the_rows_whose_ids_hash_lowest(write_folder, tmp_path):
    """Up to 256 rows are kept by hashes of id and float16 features, those of the lowest id hashes."""

    def digest(data):
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")

    rows = np.random.default_rng(0).standard_normal((600, 5)).astype(np.float32)
    ids = [f"image{number}" for number in range(600)]
    folder = write_folder(tmp_path / "set", {"a": rows}, ids=ids)
    lowest = sorted(range(600), key=lambda row: digest(ids[row].encode()))[:SAMPLE]
    halves = rows.astype(np.float16).astype(np.float32)
    assert fitted_on(FeatureSet.open(folder), "a") == {
        "rows": 600,
        "ids": [f"{digest(ids[row].encode()):016x}" for row in sorted(lowest)],
        "features": [f"{digest(halves[row].tobytes()):016x}" for row in sorted(lowest)],
    }


def test_a_set_without_ids_has_marks_of_its_features(write_folder, tmp_path):
    """Without ids.txt there are none to keep, and rows kept as float16 have the same marks."""
    rows = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float16)
    sets = [
        FeatureSet.open(write_folder(tmp_path / kind, {"a": rows.astype(kind)}))
        for kind in ("float16", "float64")
    ]
    marks = [fitted_on(each, "a") for each in sets]
    assert marks[0] == marks[1]
    assert (marks[0]["ids"], len(marks[0]["features"])) == (None, 40)
