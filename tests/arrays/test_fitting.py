import numpy as np
import pytest
import torch
from tests.arrays.test_measures import X, Y

import intertwine
from intertwine.errors import InputError
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.passes.fit import fit_to_files


@pytest.mark.quick("least-squares-options3", "reduced-rank-options5", "ridge-options1")
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ridge", {}),
        ("ridge", {"alpha": 2.0, "intercept": "none"}),
        ("ridge", {"alpha": "gcv-per-target"}),
        ("least-squares", {}),
        ("procrustes", {"scale": True}),
        ("reduced-rank", {"rank": 3}),
        ("cca", {"alpha": 1.0, "rank": 2}),
        ("mean", {}),
    ],
)
def test_a_map_is_the_one_that_intertwine_fit_writes(tmp_path, write_folder, method, options):
    """The map of two arrays, its λ and held-out R² are those of the command on a folder of them."""
    ids = [f"row {i}" for i in range(len(X))]
    folder = write_folder(tmp_path / "set", {"old": X, "new": Y}, ids=ids)
    chosen = intertwine.FitOptions(method=method, **{"alpha": "gcv", **options})
    summary = fit_to_files([folder], tmp_path / "maps", options=chosen, source="old", target="new")[
        "maps"
    ][0]
    there = intertwine.fit(X, Y, method, source="old", target="new", ids=ids, **options)
    written = intertwine.load_map(summary["path"])
    assert isinstance(there, MapPair if method == "cca" else LinearMap)
    linear = there.to_map() if isinstance(there, MapPair) else there
    np.testing.assert_allclose(linear.weight, written.weight, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(linear.bias, written.bias, rtol=1e-10, atol=1e-12)
    assert linear.info.get("r2") == pytest.approx(summary["r2"])
    assert linear.info.get("r2_null") == pytest.approx(summary["r2_null"])
    assert linear.info.get("alpha") == pytest.approx(summary["alpha"])
    if method != "cca":
        assert linear.fitted_on == written.fitted_on
        np.testing.assert_allclose(linear.source_directions, written.source_directions, atol=1e-9)


def test_its_repr_says_what_it_is():
    """Dimensions, method, λ, rows and held-out R² stand in one line; no matrix."""
    there = intertwine.fit(X, Y, alpha=3)
    r2, null = (f"{there.info[key]:.3f}".replace("-", "−") for key in ("r2", "r2_null"))
    assert repr(there) == (
        f"<LinearMap x (9) → y (6): ridge, λ 3, n 120, R² held out {r2} (shuffled rows {null})>"
    )
    pair = intertwine.fit(X, Y, method="cca")
    assert repr(pair).startswith("<MapPair x (9) → cca.x.y (6) ← y (6): cca, λ 1, n 120, R² held")


def test_held_out_r2_is_that_of_rows_left_out():
    """The R² is that of about a fifth of the rows under a map of the others with the same λ."""
    there = intertwine.fit(X, Y, alpha=3)
    held = np.argsort(intertwine.FeatureSet.from_arrays({"x": X}).id_hashes, kind="stable")[:24]
    rest = np.setdiff1d(np.arange(120), held)
    other = intertwine.fit(X[rest], Y[rest], alpha=3)
    assert there.info["r2"] == pytest.approx(other.score(X[held], Y[held]), rel=1e-9)


def test_few_rows_have_no_r2():
    """Fewer than ten rows are all fitted on, and the map says why there is no R²."""
    there = intertwine.fit(X[:9, :2], Y[:9])
    assert "r2" not in there.info
    assert "9 rows are too few" in there.info["r2_reason"]
    assert "R²" not in repr(there)


def test_shuffled_rows_warn():
    """A map that explains nothing is doubted, by the arrays' names."""
    shuffled = np.random.default_rng(0).permutation(Y)
    with pytest.warns(UserWarning, match="^old → y explains nothing: are the rows of old and y "):
        intertwine.fit(X, shuffled, source="old")


def test_a_map_goes_to_a_file_and_back(tmp_path):
    """What `fit` returns is saved and loaded with its R²."""
    there = intertwine.fit(X, Y)
    there.save(tmp_path / "map.safetensors")
    back = intertwine.load_map(tmp_path / "map.safetensors")
    assert np.array_equal(back.weight, there.weight)
    assert back.info["r2"] == there.info["r2"]


def test_the_analytic_map_takes_heads():
    """With heads, as pairs of weight and bias or layers, the analytic map needs no pairs of rows."""
    rng = np.random.default_rng(0)
    layer = torch.nn.Linear(9, 4).double()
    heads = {"x": layer, "y": (rng.standard_normal((4, 6)), np.zeros(4))}
    there = intertwine.fit(X, Y, method="analytic", heads=heads)
    logits = there(X) @ heads["y"][0].T
    np.testing.assert_allclose(logits, layer(torch.from_numpy(X)).detach().numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "lasso"}, "got method 'lasso', expected one of ridge"),
        ({"alpha": -1}, "got alpha -1, expected a number of at least 0"),
        ({"source": "y"}, "names: expected two different names"),
        ({"source": "a b"}, "got space name 'a b'"),
        ({"method": "analytic"}, "space x has no head"),
        ({"method": "cca", "alpha": "gcv-per-target"}, "CCA has no GCV"),
        ({"device": "tpu"}, "got device 'tpu'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(options, message):
    """Options that do not fit are refused."""
    with pytest.raises(InputError, match=message):
        intertwine.fit(X, Y, **options)
