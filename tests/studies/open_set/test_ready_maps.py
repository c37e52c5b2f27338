import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.map_pair import MapPair
from intertwine.passes.fit import fit_to_files
from intertwine.studies.open_set.ready_maps import fit_on_units, holds_maps, read_maps


@pytest.fixture
def folder(write_folder, tmp_path):
    """Return a feature set of three spaces."""
    rng = np.random.default_rng(0)
    features = {
        name: rng.standard_normal((80, dim)) for name, dim in (("a", 7), ("b", 5), ("c", 4))
    }
    return write_folder(tmp_path / "set", features)


def test_rows_are_fitted_on_the_unit_sphere(folder):
    """Every map equals scikit-learn's ridge on rows scaled to norm 1."""
    from sklearn.linear_model import Ridge

    feature_set, steps = FeatureSet.open(folder), []
    maps = fit_on_units(
        feature_set,
        ["a", "b", "c"],
        FitOptions(alpha=0.5),
        progress=lambda *step: steps.append(step),
    )
    assert steps == [("joint moments", 80, 80)]
    units = {}
    for name, array in feature_set.read(["a", "b", "c"], range(80)).items():
        units[name] = array / np.linalg.norm(array.astype(np.float64), axis=1, keepdims=True)
    assert len(maps) == 6
    for (source, target), fitted in maps.items():
        oracle = Ridge(alpha=0.5).fit(units[source], units[target])
        np.testing.assert_allclose(fitted.weight, oracle.coef_, atol=1e-9)
        np.testing.assert_allclose(fitted.bias, oracle.intercept_, atol=1e-9)


def test_an_absent_space(folder):
    """A space that the other set lacks is named."""
    with pytest.raises(InputError, match="no space 'd'"):
        fit_on_units(FeatureSet.open(folder), ["a", "d"], FitOptions(), progress=lambda *_: None)


@pytest.mark.parametrize("method", ["ridge", "cca"])
def test_map_files_read_back(folder, tmp_path, method):
    """Maps that were written are found, single ones and pairs."""
    assert not holds_maps(folder)
    fit_to_files([folder], tmp_path / "maps", options=FitOptions(method=method))
    assert holds_maps(tmp_path / "maps")
    maps = read_maps(tmp_path / "maps", ["a", "b"])
    assert set(maps) == {("a", "b"), ("b", "a")}
    assert isinstance(maps["a", "b"], MapPair) is (method == "cca")


def test_a_missing_map(folder, tmp_path):
    """A pair without a map file is named by its file."""
    fit_to_files([folder], tmp_path / "maps", options=FitOptions(), source="a", target="b")
    with pytest.raises(InputError, match=r"got no b--a\.safetensors, expected a map of every pair"):
        read_maps(tmp_path / "maps", ["a", "b"])
