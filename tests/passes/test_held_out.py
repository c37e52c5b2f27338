import numpy as np
import pytest

from intertwine.estimators import FitOptions
from intertwine.features.rows import read_id_hashes
from intertwine.moments.accumulators import Products
from intertwine.passes.fit import fit_to_files
from intertwine.passes.moments.file import moments_to_file

SIZES = {"tall": (150, 12, 7), "fewer rows than dimensions": (40, 60, 9), "few rows": (12, 3, 2)}


@pytest.fixture(params=SIZES, ids=[name.replace(" ", "-") for name in SIZES])
def related(request, tmp_path, write_folder):
    """Return the rows of two related spaces, and their folder, with ids."""
    n, d, q = SIZES[request.param]
    rng = np.random.default_rng(n)
    a = rng.standard_normal((n, d)) + 3
    b = np.tanh(a @ rng.standard_normal((d, q))) + 0.2 * rng.standard_normal((n, q)) - 1
    ids = [f"row{i}" for i in range(n)]
    return a, b, write_folder(tmp_path / "set", {"a": a, "b": b}, ids=ids)


def held_out(folder, n):
    """Return which rows are held out: a fifth, those whose ids have the smallest hashes."""
    order = np.argsort(read_id_hashes(folder / "ids.txt", n), kind="stable")
    return np.isin(np.arange(n), order[: min(256, n // 5)])


def r2(predicted, actual):
    """Return R² by its definition."""
    return 1 - ((predicted - actual) ** 2).sum() / ((actual - actual.mean(axis=0)) ** 2).sum()


def fitted(folder, out, **options):
    """Return the summary of a fit from a to b."""
    return fit_to_files([folder], out, options=FitOptions(**options), source="a", target="b")


@pytest.mark.parametrize("alpha", [0.5, 100.0, "gcv"])
def test_r2_is_that_of_the_same_map_of_the_other_rows(related, tmp_path, alpha):
    """R² equals scikit-learn's ridge with the map's λ, fitted on the rows that are not held out."""
    from sklearn.linear_model import Ridge

    a, b, folder = related
    (row,) = fitted(folder, tmp_path / "maps", alpha=alpha)["maps"]
    out = held_out(folder, len(a))
    model = Ridge(alpha=row["info"]["alpha"]).fit(a[~out], b[~out])
    assert row["r2"] == pytest.approx(r2(model.predict(a[out]), b[out]), abs=1e-6)
    assert (row["alpha"], row["n"], row["reason"]) == (row["info"]["alpha"], len(a), None)


@pytest.mark.quick("tall")
def test_the_null_is_the_mean_over_shuffled_fit_rows(related, tmp_path):
    """By chance R² is what scikit-learn's ridge reaches on average when the target's rows are shuffled."""
    from sklearn.linear_model import Ridge

    a, b, folder = related
    (row,) = fitted(folder, tmp_path / "maps", alpha=5.0)["maps"]
    out, rng, found = held_out(folder, len(a)), np.random.default_rng(0), []
    for _ in range(400):
        order = rng.permutation(int((~out).sum()))
        found.append(r2(Ridge(alpha=5.0).fit(a[~out], b[~out][order]).predict(a[out]), b[out]))
    error = np.std(found) / np.sqrt(len(found))
    assert row["r2_null"] == pytest.approx(np.mean(found), abs=4 * error)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "procrustes"},
        {"method": "procrustes", "scale": True},
        {"method": "reduced-rank", "rank": 2},
        {"method": "cca"},
        {"method": "ridge", "intercept": "none"},
        {"method": "ridge", "intercept": "homogeneous"},
        {"method": "least-squares"},
        {"method": "ridge", "alpha": "gcv-per-target"},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
@pytest.mark.parametrize("related", ["tall"], indirect=True)
def test_every_method_has_r2_above_its_null(related, tmp_path, options):
    """Whatever fits a map of related rows, R² and its null are there and apart, without a doubt."""
    *_, folder = related
    summary = fitted(folder, tmp_path / "maps", **options)
    (row,) = summary["maps"]
    assert row["r2"] > row["r2_null"] + 0.1
    assert row["r2"] <= 1
    assert summary["warnings"] == []


@pytest.mark.parametrize("related", ["tall"], indirect=True)
def test_least_squares_is_scored_as_such(related, tmp_path):
    """With λ = 0 R² is that of ordinary least squares."""
    from sklearn.linear_model import LinearRegression

    a, b, folder = related
    (row,) = fitted(folder, tmp_path / "maps", method="least-squares")["maps"]
    out = held_out(folder, len(a))
    expected = r2(LinearRegression().fit(a[~out], b[~out]).predict(a[out]), b[out])
    assert row["r2"] == pytest.approx(expected, abs=1e-4)


def unscored(tmp_path, write_folder, kind):
    """Return what to fit, how, and the reason why there is no R²."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8 if kind == "few rows" else 30, 4))
    second = np.ones_like(rows) if kind == "constant" else rows + 1
    folder = write_folder(
        tmp_path / "set", {"a": rows, "b": second}, labels=np.zeros(len(rows), int)
    )
    if kind == "moments":
        moments_to_file([folder], tmp_path / "moments")
        return tmp_path / "moments", {}, "a file of moments has no rows"
    if kind in {"identity", "mean"}:
        return folder, {"method": kind}, f"{kind} is not fitted to pairs of rows"
    return folder, {}, {"few rows": "8 rows are too few", "constant": "does not vary"}[kind]


@pytest.mark.parametrize("kind", ["moments", "few rows", "constant", "identity", "mean"])
def test_what_cannot_be_had_is_null_with_a_reason(tmp_path, write_folder, kind):
    """Without rows to hold out R² and its null are null, and the reason is said."""
    what, options, reason = unscored(tmp_path, write_folder, kind)
    summary = fitted(what, tmp_path / "maps", **options)
    (row,) = summary["maps"]
    assert (row["r2"], row["r2_null"]) == (None, None)
    assert reason in row["reason"]
    assert summary["warnings"] == []


@pytest.mark.quick("ridge-float64", "ridge-float32")
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("method", ["ridge", "procrustes", "cca"])
def test_shuffled_rows_are_asked_about(tmp_path, networks, method, precision):
    """A space whose rows stand in another order is asked about with every other space, both ways."""
    networks({"a": 30, "b": 24, "c": 20}).save(tmp_path / "set", 200, 1)
    rows = np.load(tmp_path / "set" / "b.npy")
    np.save(tmp_path / "set" / "b.npy", rows[np.random.default_rng(0).permutation(200)])
    options = FitOptions(method=method)
    found = fit_to_files(
        [tmp_path / "set"], tmp_path / "maps", options=options, products=Products(precision)
    )
    pairs = ["a → b", "b → a", "b → c", "c → b"]
    assert [doubt.split(" explains nothing")[0] for doubt in found["warnings"]] == pairs


@pytest.mark.parametrize("known", [False, True])
def test_transposed_arrays_are_asked_about(tmp_path, write_folder, known):
    """Many more dimensions than rows are asked about, where no list of rows settles it."""
    rows = np.random.default_rng(0).standard_normal((16, 400))
    labels = np.zeros(16, int) if known else None
    write_folder(tmp_path / "set", {"a": rows, "b": rows + 1}, labels=labels)
    found = fitted(tmp_path / "set", tmp_path / "maps")["warnings"]
    expected = [] if known else ["a.npy, b.npy: got 16 rows of 400 dimensions; expected (rows, "]
    assert [doubt[: len(expected[0])] for doubt in found] == expected


@pytest.mark.quick("1e+60")
@pytest.mark.parametrize("scale", [1e-40, 1e-12, 1e60])
def test_features_of_any_size(tmp_path, write_folder, scale):
    """Features that are tiny or huge, or a source that does not vary, end in a number or a reason."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 4))
    spaces = {"a": scale * rows, "b": rows + 1, "c": np.ones((60, 3))}
    folder = write_folder(tmp_path / "set", spaces)
    for options in ({"alpha": "gcv"}, {"method": "procrustes"}):
        found = fit_to_files([folder], tmp_path / "maps", options=FitOptions(**options))["maps"]
        for row in found:
            assert (row["r2"] is None) is (row["reason"] is not None)
            assert row["r2"] is None or np.isfinite([row["r2"], row["r2_null"]]).all()


@pytest.mark.parametrize("column", [3e3, 1e-5])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_one_feature_of_another_scale(related, tmp_path, write_folder, column, precision):
    """R² is that of the map where one feature is much larger, or smaller, than the others."""
    from sklearn.linear_model import Ridge

    a, b, _ = related
    a[:, 1] *= column
    ids = [f"row{i}" for i in range(len(a))]
    folder = write_folder(tmp_path / "scaled", {"a": a, "b": b}, ids=ids)
    options = FitOptions(alpha=1.0)
    found = fit_to_files([folder], tmp_path / "maps", options=options, products=Products(precision))
    out = held_out(folder, len(a))
    predicted = Ridge(alpha=1.0, solver="svd").fit(a[~out], b[~out]).predict(a[out])
    assert found["maps"][0]["r2"] == pytest.approx(r2(predicted, b[out]), abs=1e-3)


@pytest.mark.parametrize("scale", [1.0, 1e-5])
@pytest.mark.parametrize("alpha", [1.0, "gcv"])
def test_a_penalty_of_another_scale_is_said(tmp_path, write_folder, scale, alpha):
    """A map that λ leaves nothing of is said to be so, with what another λ would explain."""
    rows = np.random.default_rng(0).standard_normal((60, 4))
    folder = write_folder(tmp_path / "set", {"a": scale * rows, "b": rows[:, :3] + 1})
    warnings = fitted(folder, tmp_path / "maps", alpha=alpha)["warnings"]
    if (scale, alpha) == (1e-5, 1.0):
        (warning,) = warnings
        assert warning.startswith("a → b explains nothing with λ = 1 (R² of rows held out ")
        assert warning.endswith("try --alpha gcv")
    else:
        assert warnings == []
