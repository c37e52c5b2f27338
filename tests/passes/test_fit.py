import numpy as np
import pytest
from scipy.stats import ortho_group

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import load_map
from intertwine.passes.fit import FitRecord, fit_to_files
from intertwine.passes.moments.joint import joint_moments
from intertwine.spaces import Head

RNG = np.random.default_rng(0)
RIDGE = FitOptions()


@pytest.fixture
def folder(tmp_path, networks):
    """Return a folder of three networks of 150 rows."""
    nets = networks({"a": 12, "b": 8, "c": 20})
    nets.save(tmp_path / "set", 150, 1)
    return tmp_path / "set"


def entries(summary):
    """Return the (source, target) of each map."""
    return [(entry["source"], entry["target"]) for entry in summary["maps"]]


def test_writes_a_map_for_every_ordered_pair(folder, tmp_path):
    """Without a source and a target there is one file for each ordered pair, and no other file."""
    summary = fit_to_files([folder], tmp_path / "maps", options=RIDGE)
    pairs = [(a, b) for a in "abc" for b in "abc" if a != b]
    assert sorted(entries(summary)) == pairs
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == [f"{a}--{b}.safetensors" for a, b in pairs]


def test_each_map_is_scikit_learns_ridge(folder, tmp_path):
    """A map of a file is the one that scikit-learn fits on the same rows."""
    from sklearn.linear_model import Ridge

    for entry in fit_to_files([folder], tmp_path, options=FitOptions(alpha=3.0))["maps"]:
        x = np.load(folder / f"{entry['source']}.npy").astype(np.float64)
        y = np.load(folder / f"{entry['target']}.npy").astype(np.float64)
        oracle, found = Ridge(alpha=3.0).fit(x, y), LinearMap.load(entry["path"])
        np.testing.assert_allclose(found.weight, oracle.coef_, atol=1e-9)
        np.testing.assert_allclose(found.bias, oracle.intercept_, atol=1e-9)
        np.testing.assert_allclose(found.source_mean, x.mean(axis=0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.source_spread, x.std(axis=0), rtol=1e-6, atol=1e-6)
        assert (entry["info"]["alpha"], entry["info"]["n"]) == (3.0, 150)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a", "c", [("a", "c")]),
        ("b", None, [("b", "a"), ("b", "c")]),
        (None, "b", [("a", "b"), ("c", "b")]),
    ],
)
def test_source_and_target_choose_the_maps(folder, tmp_path, source, target, expected):
    """A source, a target, or both choose among the ordered pairs."""
    summary = fit_to_files([folder], tmp_path, options=RIDGE, source=source, target=target)
    assert entries(summary) == expected


def test_moments_in_place_of_a_set_give_the_same_maps(folder, tmp_path):
    """A file of moments is fitted as the rows it came from."""
    joint_moments(FeatureSet.open(folder)).save(tmp_path / "moments.safetensors")
    fit_to_files([folder], tmp_path / "rows", options=RIDGE, source="a", target="b")
    fit_to_files(
        [tmp_path / "moments.safetensors"],
        tmp_path / "moments",
        options=RIDGE,
        source="a",
        target="b",
    )
    first, second = (
        LinearMap.load(tmp_path / part / "a--b.safetensors") for part in ("rows", "moments")
    )
    np.testing.assert_allclose(second.weight, first.weight, atol=1e-12)


def test_rows_are_matched_by_id_and_it_is_said(tmp_path, write_folder):
    """Folders in another order give the same map as in one order, and the notes say so."""
    x = RNG.standard_normal((60, 4))
    y = x[:, :3] + 0.1 * RNG.standard_normal((60, 3))
    order, ids = RNG.permutation(60), [f"r{i}" for i in range(60)]
    write_folder(tmp_path / "x", {"x": x}, ids=ids)
    write_folder(tmp_path / "y", {"y": y}, ids=ids)
    write_folder(tmp_path / "z", {"y": y[order]}, ids=[ids[i] for i in order])
    same = fit_to_files([tmp_path / "x", tmp_path / "y"], tmp_path / "1", options=RIDGE, source="x")
    other = fit_to_files(
        [tmp_path / "x", tmp_path / "z"], tmp_path / "2", options=RIDGE, source="x"
    )
    maps = [LinearMap.load(each["maps"][0]["path"]) for each in (same, other)]
    np.testing.assert_allclose(maps[1].weight, maps[0].weight, atol=1e-12)
    assert same["notes"] == []
    assert any("another order; joined by id" in note for note in other["notes"])


@pytest.mark.quick("identity-1.0-free-None", "analytic-1.0-free-None", "mean-1.0-free-None")
@pytest.mark.parametrize(
    "options",
    [
        FitOptions(alpha="gcv"),
        FitOptions(alpha="gcv-per-target"),
        FitOptions(intercept="homogeneous"),
        FitOptions(prior="analytic"),
        FitOptions(method="least-squares"),
        FitOptions(method="procrustes", scale=True),
        FitOptions(method="reduced-rank", rank=3),
        FitOptions(method="cca", rank=4),
        FitOptions(method="analytic"),
        FitOptions(method="identity"),
        FitOptions(method="mean"),
    ],
    ids=lambda options: f"{options.method}-{options.alpha}-{options.intercept}-{options.prior}",
)
def test_every_method_writes_maps_that_load(folder, tmp_path, options):
    """The file of every method loads as a map of the right shape that maps the source's rows."""
    for entry in fit_to_files([folder], tmp_path, options=options)["maps"]:
        found = load_map(entry["path"])
        rows = np.load(folder / f"{entry['source']}.npy")
        target = np.load(folder / f"{entry['target']}.npy")
        assert found.apply(rows).shape == target.shape
        assert found.method == options.method


def test_a_rotation_is_found(tmp_path, write_folder):
    """Procrustes on a rotated copy writes the rotation."""
    x, rotation = RNG.standard_normal((80, 5)), ortho_group.rvs(5, random_state=0)
    write_folder(tmp_path / "set", {"x": x, "y": x @ rotation.T + 3})
    options = FitOptions(method="procrustes")
    fit_to_files([tmp_path / "set"], tmp_path, options=options, source="x", target="y")
    found = LinearMap.load(tmp_path / "x--y.safetensors")
    np.testing.assert_allclose(found.weight, rotation, atol=1e-10)
    np.testing.assert_allclose(found.bias, np.full(5, 3.0), atol=1e-10)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"source": "z"}, r"got source 'z', expected one of a, b, c"),
        ({"target": "z"}, "got target 'z'"),
        ({"source": "a", "target": "a"}, "expected two spaces"),
    ],
)
def test_refuses_unknown_and_equal_spaces(folder, tmp_path, kwargs, message):
    """A space that is not there, or the same one twice, is refused and nothing is written."""
    with pytest.raises(InputError, match=message):
        fit_to_files([folder], tmp_path / "maps", options=RIDGE, **kwargs)
    assert not (tmp_path / "maps").exists()


def test_refuses_one_space(tmp_path, write_folder):
    """A set of a single space is refused."""
    write_folder(tmp_path / "set", {"a": np.ones((5, 2))})
    with pytest.raises(InputError, match="got one space, a, expected at least two"):
        fit_to_files([tmp_path / "set"], tmp_path / "maps", options=RIDGE)


@pytest.mark.parametrize("method", ["ridge", "least-squares", "procrustes", "reduced-rank", "cca"])
def test_refuses_a_single_row(tmp_path, write_folder, method):
    """One row fits no map, whatever the method learns from rows."""
    write_folder(tmp_path / "set", {"a": np.ones((1, 2)), "b": np.ones((1, 3))})
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        fit_to_files([tmp_path / "set"], tmp_path / "maps", options=FitOptions(method=method))
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("options", [FitOptions(method="analytic"), FitOptions(prior="analytic")])
@pytest.mark.parametrize("fault", ["absent", "classes"])
def test_heads_are_asked_for_before_the_first_map_is_written(tmp_path, networks, options, fault):
    """A head that is missing, or of other classes, leaves no maps of the other pairs behind."""
    networks({"a": 12, "b": 8, "c": 20}).save(tmp_path / "set", 50, 1)
    head = tmp_path / "set" / "c.head.safetensors"
    if fault == "absent":
        head.unlink()
    else:
        Head(np.ones((7, 20))).save(head)
    with pytest.raises(InputError, match=r"space c has no head|got 10 and 7 classes"):
        fit_to_files([tmp_path / "set"], tmp_path / "maps", options=options)
    assert not (tmp_path / "maps").exists()


def test_progress_is_told_for_moments_and_maps(folder, tmp_path):
    """Progress ends at all rows and at all sources."""
    seen = {}
    fit_to_files(
        [folder],
        tmp_path,
        options=RIDGE,
        progress=lambda what, done, total: seen.update({what: (done, total)}),
    )
    assert seen == {"joint moments": (150, 150), "maps": (3, 3)}


@pytest.mark.quick("a digit")
@pytest.mark.parametrize("change", ["a digit", "a head"])
def test_a_fit_with_another_last_digit_or_head_is_another_fit(
    folder, tmp_path, monkeypatch, change
):
    """What a killed fit had written is written anew when a λ or a head differs in the least."""
    options = [FitOptions(alpha="gcv", alphas=np.array([alpha])) for alpha in (1.0, 1.0 + 1e-12)]
    if change == "a head":
        options = [FitOptions(prior="analytic")] * 2
    with monkeypatch.context() as patch:
        patch.setattr(FitRecord, "remove", lambda _: None)
        fit_to_files([folder], tmp_path / "maps", options=options[0])
    if change == "a head":
        head = Head.load(folder / "a.head.safetensors")
        Head(1.5 * head.weight, head.bias, head.classes).save(folder / "a.head.safetensors")
    fit_to_files([folder], tmp_path / "maps", options=options[1])
    fit_to_files([folder], tmp_path / "fresh", options=options[1])
    for file in (tmp_path / "fresh").iterdir():
        found, fresh = (LinearMap.load(path) for path in (tmp_path / "maps" / file.name, file))
        assert found.info["alpha"] == fresh.info["alpha"]
        assert found.weight.tobytes() == fresh.weight.tobytes()
    assert not (tmp_path / "maps" / ".fit").exists()


def test_the_record_of_an_earlier_version_is_removed(folder, tmp_path):
    """A fit that the version before began ends with its maps alone, whatever its record holds."""
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / ".fit.json").write_text('{"key": "0", "created": "x", "done": ["a--b.safetensors"]}')
    (maps / "a--b.safetensors").write_bytes(b"cut")
    fit_to_files([folder], maps, options=RIDGE)
    assert LinearMap.load(maps / "a--b.safetensors").source.name == "a"
    assert all(file.suffix == ".safetensors" for file in maps.iterdir())


# -- unpaired rows -------------------------------------------------------------------------------

TRAINED = FitOptions(method="self-training", refit="ridge")


@pytest.fixture
def partly(tmp_path, write_folder):
    """Return folders of few rows through two networks, and of many through one each."""
    rng = np.random.default_rng(2)
    cause = rng.standard_normal((330, 10))
    views = {
        name: cause @ ortho_group.rvs(dim, random_state=rng)[:10]
        + 0.2 * rng.standard_normal((330, dim))
        for name, dim in (("x", 14), ("y", 12))
    }
    folders = [write_folder(tmp_path / "both", {name: view[:30] for name, view in views.items()})]
    folders += [
        write_folder(tmp_path / f"only-{name}", {name: view[30:][order]})
        for (name, view), order in zip(
            views.items(), (slice(None), rng.permutation(300)), strict=True
        )
    ]
    return folders


def test_unpaired_rows_are_learned_from(partly, tmp_path):
    """With rows of either space the maps are those of the estimator, and say what it chose."""
    from intertwine.estimators import Fitter, PartlyPaired
    from intertwine.moments.moments import Moments

    both, *only = partly
    summary = fit_to_files([both], tmp_path / "maps", options=TRAINED, unpaired=only)
    assert entries(summary) == [("x", "y"), ("y", "x")]
    arrays = {name: np.load(both / f"{name}.npy") for name in "xy"}
    unpaired = {name: np.load(tmp_path / f"only-{name}" / f"{name}.npy") for name in "xy"}
    moments = Moments({"x": 14, "y": 12})
    moments.update(arrays)
    fitter = Fitter(TRAINED, rows=PartlyPaired(arrays, unpaired))
    for entry in summary["maps"]:
        expected = fitter.fit(moments, entry["source"], [entry["target"]])[entry["target"]]
        found = LinearMap.load(entry["path"])
        np.testing.assert_allclose(found.weight, expected.weight, atol=1e-9)
        assert entry["info"]["self_training"] == expected.info["self_training"]
        assert entry["r2"] is None
        assert "judged by the ranks of pairs that it leaves out" in entry["reason"]
        # Unpaired rows leave no marks, so it is not known on which rows the map was fitted.
        assert found.fitted_on is None


def test_rows_of_one_space_in_several_folders_are_joined(partly, tmp_path, write_folder):
    """Unpaired rows of a space may lie in several folders, and a folder may hold both spaces."""
    both, only_x, only_y = partly
    x = np.load(only_x / "x.npy")
    parts = [write_folder(tmp_path / f"part{i}", {"x": x[i::2]}) for i in (0, 1)]
    more = {"options": TRAINED, "source": "x", "target": "y"}
    whole = fit_to_files([both], tmp_path / "one", unpaired=[only_x, only_y], **more)
    apart = fit_to_files([both], tmp_path / "two", unpaired=[*parts, only_y], **more)
    kinds = [each["maps"][0]["info"]["self_training"]["kind"] for each in (whole, apart)]
    assert kinds[0] == kinds[1]


def test_unpaired_rows_that_do_not_fit_are_refused(partly, tmp_path, write_folder):
    """A space without unpaired rows, another dimension, NaN and another method are one clear error."""
    both, only_x, only_y = partly
    out = tmp_path / "maps"

    def fitted(*unpaired, options=TRAINED, paths=(both,)):
        return fit_to_files(paths, out, options=options, unpaired=unpaired)

    with pytest.raises(InputError, match=r"got no unpaired rows of y: none of .* holds y\.npy"):
        fitted(only_x)
    wide = write_folder(tmp_path / "wide", {"y": np.ones((9, 13))})
    with pytest.raises(InputError, match="y"):
        fitted(only_x, wide)
    broken = write_folder(tmp_path / "broken", {"y": np.full((9, 12), np.nan)})
    with pytest.raises(InputError, match="unpaired rows of y: NaN or infinite features in rows 0"):
        fitted(only_x, broken)
    with pytest.raises(InputError, match="got unpaired rows for method ridge, expected self-train"):
        fitted(only_x, only_y, options=RIDGE)
    with pytest.raises(InputError, match="needs unpaired rows: give them with --unpaired"):
        fitted()
    joint_moments(FeatureSet.open(both), ["x", "y"]).save(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="self-training needs rows, expected a folder"):
        fitted(only_x, only_y, paths=[tmp_path / "m.safetensors"])
