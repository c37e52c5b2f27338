import os

import numpy as np

from intertwine.features.feature_set import FeatureSet, file_stamps


def test_a_stamp_changes_with_any_array(write_folder, tmp_path):
    """Stamps stay while the files do, and change when one is written anew."""
    folder = write_folder(tmp_path, {"a": np.eye(3), "b": np.eye(3)})
    before = file_stamps(FeatureSet.open(folder))
    assert file_stamps(FeatureSet.open(folder)) == before
    os.utime(folder / "b.npy", ns=(1, 1))
    after = file_stamps(FeatureSet.open(folder))
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False]
