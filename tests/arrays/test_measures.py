import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

import intertwine
from intertwine import FeatureSet, SimilarityOptions
from intertwine.errors import InputError


def pair(n: int = 120, d: int = 9, q: int = 6, seed: int = 0):
    """Return two related (n, d) and (n, q) arrays."""
    rng = np.random.default_rng(seed)
    cause = rng.standard_normal((n, 4))
    return tuple(
        np.tanh(cause @ rng.standard_normal((4, dim))) + 0.5 * rng.standard_normal((n, dim)) + 1
        for dim in (d, q)
    )


X, Y = pair()
ALL = ("cka", "cca", "svcca", "pwcca", "procrustes_distance", "r2", "mutual_knn", "rsa")
# What the study calls them.
KEYS = {"cca": "cca_mean", "procrustes_distance": "procrustes"}


@pytest.fixture(scope="module")
def studied():
    """Return the row of the similarity study over the same rows."""
    features = FeatureSet.from_arrays({"x": X, "y": Y})
    result = intertwine.similarity(features, options=SimilarityOptions(variance=0.9))
    return {(row["source"], row["target"]): row for row in result.pairs}


@pytest.mark.parametrize("name", ALL)
def test_a_measure_is_that_of_the_study(studied, name):
    """Every measure of two arrays is the number that the study reports, in both directions."""
    options = {"variance": 0.9} if name == "svcca" else {}
    measure, key = getattr(intertwine, name), KEYS.get(name, name)
    assert measure(X, Y, **options) == pytest.approx(studied["x", "y"][key], abs=1e-13)
    assert measure(Y, X, **options) == pytest.approx(studied["y", "x"][key], abs=1e-13)


def test_debiased_cka_is_that_of_the_study(studied):
    """The debiased estimate is the study's."""
    assert intertwine.cka(X, Y, debiased=True) == pytest.approx(
        studied["x", "y"]["cka_debiased"], abs=1e-13
    )


def test_cka_is_the_alignment_of_gram_matrices():
    """Linear CKA is the cosine of the centred kernels."""
    k, g = ((a - a.mean(0)) @ (a - a.mean(0)).T for a in (X, Y))
    expected = (k * g).sum() / np.sqrt((k * k).sum() * (g * g).sum())
    assert intertwine.cka(X, Y) == pytest.approx(expected, rel=1e-12)


def test_cca_is_the_cosine_of_subspace_angles():
    """Canonical correlations are the cosines of the angles between the arrays' column spaces."""
    angles = subspace_angles(X - X.mean(0), Y - Y.mean(0))
    assert intertwine.cca(X, Y) == pytest.approx(np.cos(angles).mean(), rel=1e-10)


def test_svcca_is_cca_of_leading_components():
    """SVCCA is plain CCA after each array is cut to the components that hold the variance."""

    def leading(a):
        u, s, _ = np.linalg.svd(a - a.mean(0), full_matrices=False)
        return u[:, : int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.8)) + 1]

    rho = np.linalg.svd(leading(X).T @ leading(Y), compute_uv=False)
    assert intertwine.svcca(X, Y, variance=0.8) == pytest.approx(rho.mean(), rel=1e-10)


def test_pwcca_weighs_correlations_by_the_source():
    """PWCCA weighs each correlation by how much of x its canonical variate holds."""
    a, b = X - X.mean(0), Y - Y.mean(0)
    (qa, _), (qb, _) = np.linalg.qr(a), np.linalg.qr(b)
    u, rho, _ = np.linalg.svd(qa.T @ qb, full_matrices=False)
    weights = np.abs((qa @ u).T @ a).sum(axis=1)
    assert intertwine.pwcca(X, Y) == pytest.approx(weights @ rho / weights.sum(), rel=1e-10)


def test_procrustes_distance_is_scipys():
    """The angle and the distance follow from SciPy's orthogonal Procrustes problem."""
    a = X - X.mean(0)
    b = np.pad(Y - Y.mean(0), ((0, 0), (0, X.shape[1] - Y.shape[1])))
    rotation, nuclear = orthogonal_procrustes(a, b)
    angle = np.arccos(nuclear / np.linalg.norm(a) / np.linalg.norm(b))
    assert intertwine.procrustes_distance(X, Y) == pytest.approx(angle, rel=1e-10)
    squares = ((a @ rotation - b) ** 2).sum()
    assert intertwine.procrustes_distance(X, Y, angular=False) == pytest.approx(squares, rel=1e-10)


@pytest.mark.slow
def test_r2_is_about_that_of_scikit_learn():
    """Held-out R² is near that of scikit-learn's ridge with λ by GCV over contiguous folds."""
    residual = 0.0
    for fold in np.array_split(np.arange(len(X)), 20):
        rest = np.setdiff1d(np.arange(len(X)), fold)
        model = RidgeCV(alphas=np.logspace(-3, 3, 25)).fit(X[rest], Y[rest])
        residual += ((Y[fold] - model.predict(X[fold])) ** 2).sum()
    expected = 1 - residual / ((Y - Y.mean(0)) ** 2).sum()
    assert intertwine.r2(X, Y) == pytest.approx(expected, abs=0.02)


def test_mutual_knn_counts_common_neighbours():
    """Mutual k-NN is the mean share of the nearest other rows that both arrays agree on."""
    near = []
    for a in (X, Y):
        distances = cdist(a, a)
        np.fill_diagonal(distances, np.inf)
        near.append([set(row) for row in np.argsort(distances, axis=1)[:, :7]])
    expected = np.mean([len(one & other) / 7 for one, other in zip(*near, strict=True)])
    assert intertwine.mutual_knn(X, Y, k=7) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["euclidean", "correlation"])
def test_rsa_is_spearmans(kind):
    """RSA is SciPy's rank correlation of SciPy's distances of all pairs of rows."""
    expected = spearmanr(pdist(X, kind), pdist(Y, kind)).statistic
    assert intertwine.rsa(X, Y, dissimilarity=kind) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("convert", "tolerance"),
    [
        (torch.from_numpy, 0),
        (lambda a: torch.from_numpy(a).requires_grad_(), 0),
        (lambda a: torch.from_numpy(a).bfloat16(), 0.02),
        (lambda a: a.astype(np.float16), 1e-3),
        (np.asfortranarray, 0),
        (pd.DataFrame, 0),
        (pl.DataFrame, 0),
        (lambda a: a.tolist(), 0),
    ],
    ids=["torch", "gradient", "bfloat16", "float16", "fortran", "pandas", "polars", "list"],
)
def test_arrays_may_be_of_any_library(convert, tolerance):
    """Tensors, tables, lists and half precision score as the NumPy array does."""
    assert intertwine.cka(convert(X), convert(Y)) == pytest.approx(
        intertwine.cka(X, Y), abs=tolerance
    )
    assert intertwine.mutual_knn(convert(X), Y) == pytest.approx(
        intertwine.mutual_knn(X, Y), abs=10 * tolerance
    )


def test_integers_are_numbers():
    """Integer features score as the same floats."""
    whole = np.round(10 * X).astype(np.int8)
    assert intertwine.cka(whole, Y) == intertwine.cka(whole.astype(float), Y)


@pytest.mark.slow
def test_ids_decide_groups_and_samples():
    """Rows in another order with their ids score the same where rows are drawn or grouped."""
    order = np.random.default_rng(1).permutation(len(X))
    ids = np.array([f"row{i}" for i in range(len(X))])
    for name, options in (
        ("r2", {}),
        ("rsa", {"sample": 60}),
        ("mutual_knn", {"sample": 60}),
    ):
        measure = getattr(intertwine, name)
        score = measure(X, Y, ids=ids, **options)
        assert measure(X[order], Y[order], ids=ids[order], **options) == pytest.approx(score)


def test_cca_of_moments_is_the_estimator():
    """The name `cca` goes on fitting map pairs where its first argument is moments."""
    moments = intertwine.Moments.of(a=X, b=Y)
    there = intertwine.cca(moments, "a", ["b"], rank=2)["b"]
    by_name = intertwine.cca(moments=moments, source="a", targets=["b"], rank=2)["b"]
    assert there.source.target.dim == 2
    assert np.array_equal(there.source.weight, by_name.source.weight)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:9], Y, r"^rows differ: x has 9 rows, y has 120 rows, expected the same rows .* each$"),
        (X.T, Y, r"rows differ: x has 9 rows.*; x is \(9, 120\): is it transposed\?"),
        (
            X[:, 0],
            Y,
            r"x: got an array of shape \(120,\), expected .* \(n, d\); index it \[:, None\]",
        ),
        (X, np.where(np.arange(120)[:, None] == 7, np.nan, Y), r"y: NaN or infinite .* rows 7;"),
        (X[:1], Y[:1], "x and y: got n = 1, expected at least 2 rows"),
        ("x.npy", Y, r"x: got a path, expected an \(n, d\) array; numpy.load reads a .npy"),
        (np.ones((120, 2)), Y, "vary|constant|one distance"),
    ],
    ids=["rows", "transposed", "one dimension", "NaN", "one row", "path", "constant"],
)
def test_what_is_no_pair_of_arrays_is_refused(name, x, y, message):
    """Errors name the argument and say what to do."""
    if name == "r2" and message.startswith("vary"):
        x, y = y, x  # a constant source predicts the mean, a constant target is undefined
    with pytest.raises(InputError, match=message):
        getattr(intertwine, name)(x, y)


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        ("similarity", "linear_cka", r"joint Moments; for arrays use intertwine.cka\(x, y\)"),
        ("similarity", "pwcca", r"intertwine.pwcca\(x, y\)"),
        ("similarity", "rbf_cka", r"a RowView; for arrays use intertwine.similarity\(x, y\)"),
        ("similarity", "mutual_knn", r"intertwine.mutual_knn\(x, y\)"),
        ("estimators", "ridge", r"joint Moments; for arrays use intertwine.fit\(x, y\)"),
        ("estimators", "procrustes", r'intertwine.fit\(x, y, method="procrustes"\)'),
        ("estimators", "cca", r'intertwine.fit\(x, y, method="cca"\)'),
        ("estimators", "mean_vector", r'intertwine.fit\(x, y, method="mean"\)'),
    ],
)
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, pd.DataFrame, list])
def test_a_function_of_moments_names_the_one_of_arrays(module, name, instead, convert):
    """Arrays where moments are expected raise a TypeError that says which function takes arrays."""
    function = getattr(__import__(f"intertwine.{module}", fromlist=[name]), name)
    with pytest.raises(TypeError, match=f"^{name}: got an array .*, expected .*{instead}$"):
        function(convert(X), convert(Y))
