import json

import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.passes.extract.extract import extract
from intertwine.studies.closed_set.controls import with_random_controls


@pytest.fixture
def extracted(tmp_path, write_images, write_network):
    """Return fit and evaluation folders over different rows of one folder of images."""
    images = write_images(tmp_path / "images", 24)
    uri = f"onnx:{write_network(tmp_path / 'net.onnx', seed=1)}"
    extract(images, [uri], tmp_path / "fit", rows=(0, 15))
    extract(images, [uri], tmp_path / "eval", rows=(15, 24))
    return [tmp_path / "fit"], [tmp_path / "eval"]


def ignore(what, done, total):
    """Take progress and do nothing."""
    del what, done, total


def test_an_untrained_twin_stands_beside_each_set(extracted, tmp_path):
    """The twin's features cover the rows of each set, join by id, and are of another network."""
    fit, evaluation, controls = with_random_controls(
        *extracted, ["net"], tmp_path / "controls", progress=ignore
    )
    assert controls == ["net.untrained"]
    for folders, n in ((fit, 15), (evaluation, 9)):
        opened = FeatureSet.open(*folders)
        assert (opened.n, list(opened.spaces)) == (n, ["net", "net.untrained"])
        assert opened.spaces["net"].dim == opened.spaces["net.untrained"].dim
        rows = opened.read(opened.spaces, range(n))
        assert np.abs(np.corrcoef(rows["net"].ravel(), rows["net.untrained"].ravel())[0, 1]) < 0.999
        heads = opened.heads
        assert heads["net"].fingerprint() != heads["net.untrained"].fingerprint()
    heads = [FeatureSet.open(*folders).heads["net.untrained"] for folders in (fit, evaluation)]
    assert heads[0].fingerprint() == heads[1].fingerprint()


def test_the_twin_lacks_the_same_images(extracted, tmp_path):
    """An image that was left out of a set is left out of its twin, though it can be read by now."""
    images, uri = tmp_path / "images", FeatureSet.open(*extracted[0]).info["net"]["encoder"]
    whole = (images / "0003.png").read_bytes()
    (images / "0003.png").write_bytes(whole[:20])
    extract(images, [uri], tmp_path / "left", rows=(0, 15), skip_bad=True)
    (images / "0003.png").write_bytes(whole)
    for _ in range(2):
        fit, _, _ = with_random_controls(
            [tmp_path / "left"], extracted[1], ["net"], tmp_path / "controls", progress=ignore
        )
        opened = FeatureSet.open(*fit)
        assert (opened.n, list(opened.spaces)) == (14, ["net", "net.untrained"])


def test_the_folders_given_are_left_alone(extracted, tmp_path):
    """The lists that were passed in keep their folders."""
    before = [list(folders) for folders in extracted]
    with_random_controls(*extracted, ["net"], tmp_path / "controls", progress=ignore)
    assert [list(folders) for folders in extracted] == before


@pytest.mark.parametrize("fault", ["encoder", "images", "space"])
def test_both_sets_are_asked_before_anything_is_written(extracted, tmp_path, fault):
    """Where one set does not say what it was made with, the other's twin is not made either."""
    manifest_file = extracted[1][0] / "feature_set.json"
    manifest = json.loads(manifest_file.read_text())
    if fault == "encoder":
        del manifest["spaces"]["net"]["encoder"]
    elif fault == "images":
        manifest["input"] = {}
    else:
        (extracted[1][0] / "net.npy").rename(extracted[1][0] / "other.npy")
    manifest_file.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"does not say which encoder|no space 'net'"):
        with_random_controls(*extracted, ["net"], tmp_path / "controls", progress=ignore)
    assert not (tmp_path / "controls").exists()
