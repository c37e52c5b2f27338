import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.faces import Faces, naive_open_set

from intertwine.errors import InputError
from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.metrics import verification
from intertwine.metrics.fold_accuracy import weighted_means
from intertwine.metrics.intervals import pair_weights
from intertwine.spaces import Space
from intertwine.studies.open_set.best_protocol import best_trials
from intertwine.studies.open_set.data import VerificationSet
from intertwine.studies.open_set.fold_maps import FoldMaps, ReadyMaps
from intertwine.studies.open_set.fold_moments import FoldMoments
from intertwine.studies.open_set.lookup import OpenSetStudy
from intertwine.studies.open_set.options import OpenSetOptions
from intertwine.studies.open_set.pairs import read_pairs
from intertwine.studies.open_set.recipes import RecipeMaps
from intertwine.studies.open_set.study import open_set
from intertwine.studies.open_set.trials import directions

FACES = Faces({"a": 12, "b": 9, "c": 14}, people=20, per_kind=30, noise=0.4)
QUICK = OpenSetOptions(method=FitOptions(intercept="none"), replicates=50, curve_points=0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return the feature set and the pairs of made-up people."""
    path = tmp_path_factory.mktemp("faces")
    return FeatureSet.open(FACES.folder(path / "set")), read_pairs(FACES.official(path / "p.txt"))


@pytest.fixture(scope="module")
def plain(inputs):
    """Return the result of the paper's protocol, with curves."""
    return open_set(*inputs, options=replace(QUICK, curve_points=4)).to_json()


def test_every_row_has_the_declared_fields(plain):
    """What the study writes holds every field that its tables declare."""
    for table in OpenSetStudy.tables:
        assert all(set(table.columns) <= set(row) for row in plain[table.name]), table.name


def cells(result):
    """Return the main table by source and target."""
    return {(row["source"], row["target"]): row for row in result["pairs"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "intercept", "alpha"),
    [
        pytest.param("matched-pairs", "none", 1.0, marks=pytest.mark.slow),
        ("images", "free", 1.0),
        pytest.param("images", "none", 0.01, marks=pytest.mark.slow),
    ],
)
def test_every_cell_against_a_slow_reading(inputs, fit, intercept, alpha):
    """Every fold of every cell equals maps fitted from scratch by scikit-learn and loops."""
    method = FitOptions(intercept=intercept, alpha=alpha)
    result = open_set(*inputs, options=replace(QUICK, fit=fit, method=method)).to_json()
    accuracies = {}
    for row in result["folds"]:
        accuracies.setdefault((row["source"], row["target"]), []).append(row["accuracy"])
    for (source, target), cell in cells(result).items():
        free = intercept == "free"
        expected = naive_open_set(FACES, fit, source, target, alpha=alpha, free=free)
        assert accuracies[source, target] == pytest.approx(expected, abs=1e-12)
        assert cell["accuracy"] == pytest.approx(np.mean(expected), abs=1e-12)
        assert cell["std"] == pytest.approx(np.std(expected), abs=1e-12)
        without = naive_open_set(FACES, "none", source, target)
        assert cell["identity_accuracy"] == pytest.approx(np.mean(without), abs=1e-12)


def test_a_map_is_far_better_than_none(plain):
    """Mapped pairs verify nearly as the networks do, unmapped ones like a coin."""
    for (source, target), row in cells(plain).items():
        if source != target:
            assert row["accuracy"] > 0.7
            assert abs(row["identity_accuracy"] - 0.5) < 0.15


def test_changes_are_against_both_networks(plain):
    """Percent change, its target form and the loss follow from the accuracies."""
    natives = {row["space"]: row["accuracy"] for row in plain["natives"]}
    for (source, target), row in cells(plain).items():
        own, other = natives[source], natives[target]
        assert row["percent_change"] == pytest.approx(100 * (row["accuracy"] - own) / own)
        assert row["percent_change_target"] == pytest.approx(100 * (row["accuracy"] / other - 1))
        assert row["loss"] == pytest.approx(100 * (min(own, other) - row["accuracy"]))
    off = [row for pair, row in cells(plain).items() if pair[0] != pair[1]]
    assert plain["worst_loss"] == max(row["loss"] for row in off)
    assert plain["worst_percent_change"] == min(row["percent_change"] for row in off)
    changes = [row["percent_change"] for row in off]
    assert plain["median_percent_change"] == pytest.approx(np.median(changes))


def test_intervals_hold_their_number(plain):
    """Every number lies inside its own interval, and no interval is a point."""
    for row in plain["pairs"]:
        for key in ("accuracy", "eer", "auc", "tar_at_far_1e-2", "percent_change"):
            prefix = "ci" if key == "accuracy" else key
            low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
            assert low - 1e-9 <= row[key] <= high + 1e-9


def test_a_diagonal_cell_is_the_native_network(plain):
    """The diagonal holds the networks as they are, without a change."""
    for native in plain["natives"]:
        row = cells(plain)[native["space"], native["space"]]
        assert row["accuracy"] == native["accuracy"] == row["identity_accuracy"]
        assert row["percent_change"] == row["loss"] == 0
        assert row["n_fit"] is None


def test_curves_end_in_the_table(plain):
    """The last size is the main table, and the full rank is the full-rank ridge map."""
    sizes = sorted({row["n_fit"] for row in plain["curve"] if row["kind"] == "pairs"})
    assert len(sizes) == 4
    assert sizes[0] == pytest.approx(50, abs=5)
    assert sizes[-1] == 90
    for row in plain["curve"]:
        cell = cells(plain)[row["source"], row["target"]]
        whole = row["kind"] == "pairs" and row["n_fit"] == sizes[-1]
        if whole:
            assert row["accuracy"] == cell["accuracy"]
        if row["kind"] == "rank":
            assert row["rank"] == 8
            assert row["n_fit"] == 90


def test_roc_points_lie_on_the_curve(plain):
    """A stored ROC begins at the origin, ends at one, rises, and has the area of the scores."""
    for row in plain["roc"]:
        far, tar = np.array(row["far"]), np.array(row["tar"])
        assert (far[0], tar[0], far[-1], tar[-1]) == (0, 0, 1, 1)
        assert (np.diff(far) >= 0).all()
        assert (np.diff(tar) >= 0).all()
        area = cells(plain)[row["source"], row["target"]]["auc"]
        assert np.trapezoid(tar, far) == pytest.approx(area, abs=0.01)


@pytest.mark.slow
def test_crossfit_changes_thresholds_and_not_test_scores(inputs):
    """Cross-fitted thresholds leave the ROC as it is and the native networks untouched."""
    train = open_set(*inputs, options=QUICK).to_json()
    cross = open_set(*inputs, options=replace(QUICK, threshold="crossfit")).to_json()
    assert cells(train)["a", "b"]["auc"] == cells(cross)["a", "b"]["auc"]
    assert train["natives"] == cross["natives"]
    moved = [
        cells(cross)[pair]["threshold"] != row["threshold"]
        for pair, row in cells(train).items()
        if pair[0] != pair[1]
    ]
    assert any(moved)


@pytest.mark.quick("reduced-rank", "identity")
@pytest.mark.parametrize("method", ["procrustes", "cca", "reduced-rank", "identity"])
def test_every_method_runs(inputs, method):
    """Other methods give every cell; identity gives the do-nothing line itself."""
    rank = {"cca": 6}.get(method)
    options = replace(QUICK, fit="images", method=FitOptions(method=method, rank=rank))
    result = open_set(*inputs, options=options).to_json()
    assert result["space"] == ("shared" if method == "cca" else "target")
    for row in result["pairs"]:
        if method == "identity":
            assert row["accuracy"] == row["identity_accuracy"]
        else:
            assert row["accuracy"] > 0.6


def test_cca_maps_both_sides(inputs):
    """With CCA a pair scores as the cosine of both images in the shared space."""
    data = VerificationSet.of(*inputs)
    options = replace(QUICK, fit="images", method=FitOptions(method="cca"))
    result = open_set(*inputs, options=options).to_json()
    x, y = (data.features[name] for name in "ab")
    scores = np.zeros(len(data.same))
    held = data.in_folds()
    for fold in range(data.n_folds):
        keep = ~held[data.person, fold]
        a, b = x[keep] - x[keep].mean(0), y[keep] - y[keep].mean(0)

        def whiten(z):
            values, vectors = np.linalg.eigh(z.T @ z + np.eye(z.shape[1]))
            return vectors @ np.diag(values**-0.5) @ vectors.T

        u, rho, vt = np.linalg.svd(whiten(a) @ a.T @ b @ whiten(b), full_matrices=False)
        chosen = data.fold == fold
        left = (x[data.first[chosen]] - x[keep].mean(0)) @ whiten(a) @ u * rho
        right = (y[data.second[chosen]] - y[keep].mean(0)) @ whiten(b) @ vt.T * rho
        scores[chosen] = (directions(left) * directions(right)).sum(axis=1)
    found = cells(result)["a", "b"]["auc"]
    assert found == pytest.approx(verification.auc(scores, data.same), abs=1e-9)


@pytest.mark.slow
def test_refitting_widens_what_fixed_maps_hide(inputs):
    """With refitted maps intervals differ, and the numbers themselves do not."""
    options = replace(QUICK, replicates=20)
    fixed = open_set(*inputs, options=options).to_json()
    again = open_set(*inputs, options=replace(options, refit=True)).to_json()
    for pair, row in cells(fixed).items():
        assert row["accuracy"] == cells(again)[pair]["accuracy"]
        same = row["ci_low"] == cells(again)[pair]["ci_low"]
        assert same or pair[0] != pair[1]
    differ = [cells(again)[pair]["auc_low"] != row["auc_low"] for pair, row in cells(fixed).items()]
    assert sum(differ) == 6


def test_no_replicates_leave_intervals_out(inputs):
    """Without replicates every interval is null."""
    result = open_set(*inputs, options=replace(QUICK, replicates=0)).to_json()
    assert all(row["ci_low"] is row["auc_high"] is None for row in result["pairs"])
    json.dumps(result, allow_nan=False)


def test_ready_maps(inputs):
    """Ready-made maps serve every fold, and exact ones score as their native network does."""
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    features = {"a": FACES.features["a"], "b": FACES.features["a"] @ rotation.T}
    turned = replace_features(features)
    pairs = inputs[1]
    maps = ReadyMaps(
        {
            ("a", "b"): map_of("a", "b", rotation),
            ("b", "a"): map_of("b", "a", rotation.T),
        }
    )
    result = open_set(turned, pairs, options=QUICK, maps=maps).to_json()
    natives = {row["space"]: row["accuracy"] for row in result["natives"]}
    for row in result["pairs"]:
        assert row["accuracy"] == pytest.approx(natives[row["source"]], abs=1e-12)
        assert row["n_fit"] is None
    assert result["curve"] == []


def map_of(source, target, weight):
    """Return a map without bias."""
    rows, columns = weight.shape
    spaces = Space(source, columns), Space(target, rows)
    return LinearMap(weight, np.zeros(rows), *spaces, "by hand")


def replace_features(features):
    """Return a set in memory with the ids of the made-up people."""
    return FeatureSet.from_arrays(features, ids=FACES.ids)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "got no map a--b, expected one of every ordered pair"),
        (
            {("a", "b"): map_of("a", "b", np.ones((9, 3)))},
            r"map a--b: got dimensions \(3, 9\), expected \(12, 9\)",
        ),
    ],
)
def test_maps_that_do_not_fit(inputs, maps, message):
    """A missing map, or one of other dimensions, is named."""
    with pytest.raises(InputError, match=message):
        open_set(*inputs, options=QUICK, maps=ReadyMaps(maps))


def test_refit_needs_maps_of_its_own(inputs):
    """Maps from elsewhere cannot be refitted."""
    with pytest.raises(InputError, match="got refit with maps from elsewhere"):
        open_set(*inputs, options=replace(QUICK, refit=True), maps=ReadyMaps({}))


def test_the_best_protocol_fits_maps_of_its_own(inputs):
    """Our own protocol cannot use maps from elsewhere."""
    options = replace(QUICK, protocol="best")
    with pytest.raises(InputError, match="got protocol best with maps from elsewhere"):
        open_set(*inputs, options=options, maps=ReadyMaps({}))


@pytest.mark.quick("target-half-whitened")
@pytest.mark.parametrize(("space", "method"), [("target", "half-whitened"), ("shared", "cca")])
def test_the_best_protocol_says_what_it_chose(inputs, space, method):
    """Facts name method, space and thresholds as they were, and accuracy is that of its trials."""
    options = replace(QUICK, protocol="best", space=space, curve_points=3)
    result = open_set(*inputs, options=options).to_json()
    facts = {key: result[key] for key in ("method", "space", "fit", "threshold", "alpha")}
    assert facts == {
        "method": method,
        "space": space,
        "fit": "images",
        "threshold": "crossfit",
        "alpha": "cross-validated",
    }
    trials = best_trials(RecipeMaps(VerificationSet.of(*inputs), space))
    for pair, trial in trials.items():
        assert cells(result)[pair]["accuracy"] == trial.accuracy.mean
        assert cells(result)[pair]["alpha"] == trial.alpha
    assert result["curve"] == []


def test_one_space(inputs, write_folder, tmp_path):
    """One network has no other to be verified against."""
    write_folder(tmp_path, {"a": FACES.features["a"]}, ids=FACES.ids)
    with pytest.raises(InputError, match="got one space, a, expected at least two"):
        open_set(FeatureSet.open(tmp_path), inputs[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fit": "pairs"}, "got fit 'pairs', expected one of matched-pairs, images"),
        ({"threshold": "x"}, "got threshold 'x', expected one of train, crossfit"),
        ({"protocol": "x"}, "got protocol 'x', expected one of paper, best"),
        ({"space": "x"}, "got space 'x', expected one of target, shared"),
        ({"space": "shared"}, "got space shared, which protocol best takes; use method cca"),
        ({"protocol": "best", "refit": True}, "got refit with protocol best"),
        ({"replicates": -1}, "got -1 replicates"),
        ({"curve_points": -1}, "-1 curve points"),
        ({"method": FitOptions(method="analytic")}, "needs heads; face networks have none"),
    ],
)
def test_bad_options(change, message):
    """An option outside its range is refused with what is expected."""
    with pytest.raises(InputError, match=message):
        OpenSetOptions(**change)


def test_the_test_fold_does_not_move_its_maps(inputs):
    """Maps fitted without a fold do not change when that fold's features do."""
    data = VerificationSet.of(*inputs)
    moved = {name: array.copy() for name, array in data.features.items()}
    held = data.in_folds()[data.person, 1]
    rng = np.random.default_rng(5)
    for array in moved.values():
        array[held] = rng.standard_normal(array[held].shape)
    for kind in ("matched-pairs", "images"):
        weights = [
            FoldMaps(FoldMoments.of(replace(data, features=each), kind), QUICK.method)
            .without((1,))("a")["b", None]
            .weight
            for each in (data.features, moved)
        ]
        np.testing.assert_allclose(*weights, atol=1e-10)


def test_coverage_of_the_interval():
    """The interval over people is about as wide as the scatter of accuracy over fresh people."""
    rng = np.random.default_rng(0)
    n_people, per = 60, 4
    accuracies, widths = [], []
    person = np.repeat(np.arange(n_people), per)
    fold = np.zeros(len(person), int)
    for _ in range(60):
        ease = norm.cdf(1 + 2 * rng.standard_normal(n_people))
        correct = rng.random(len(person)) < ease[person]
        draws = weighted_means(correct, fold, pair_weights(person, person, n_replicates=200))
        accuracies.append(correct.mean())
        widths.append(draws.std())
    assert np.mean(widths) == pytest.approx(np.std(accuracies), rel=0.35)


@pytest.mark.parametrize(("per_kind", "defined"), [(8, []), (25, ["tar_at_far_1e-2"])])
def test_a_rate_finer_than_the_pairs_is_undefined(tmp_path, per_kind, defined):
    """TAR at a FAR below one mismatched pair is null, with the reason in its row and in the notes."""
    faces = Faces({"a": 6, "b": 5}, per_kind=per_kind)
    inputs = FeatureSet.open(faces.folder(tmp_path / "set")), read_pairs(faces.csv(tmp_path / "p"))
    found = open_set(*inputs, options=replace(QUICK, replicates=20)).to_json()
    for row in (*found["pairs"], *found["natives"]):
        for key, needed in (("tar_at_far_1e-2", "100"), ("tar_at_far_1e-3", "1,000")):
            numbers = [row[f"{key}{end}"] for end in ("", "_low", "_high")]
            reason = f"it needs {needed} mismatched pairs, there are {4 * per_kind}"
            assert all(number is None for number in numbers) is (key not in defined)
            assert (reason in row["reason"]) is (key not in defined)
            assert any(reason in note for note in found["notes"]) is (key not in defined)


def test_rows_in_another_order_are_doubted_first(tmp_path):
    """A network whose rows are not in the order of the ids is at chance by itself, which is said first."""
    folder = FACES.folder(tmp_path / "set")
    rows = np.load(folder / "b.npy")
    np.save(folder / "b.npy", rows[np.random.default_rng(0).permutation(len(rows))])
    inputs = FeatureSet.open(folder), read_pairs(FACES.official(tmp_path / "p.txt"))
    found = open_set(*inputs, options=QUICK).to_json()
    doubt = "b by itself verifies at chance: are the rows of b.npy in the order of ids.txt?"
    assert found["warnings"] == [doubt] == found["notes"][:1]


def test_nothing_is_doubted_of_a_good_set(inputs):
    """Networks that verify, and maps between them, raise no doubt."""
    assert open_set(*inputs, options=QUICK).to_json()["warnings"] == []


@pytest.mark.slow
def test_a_chosen_edge_is_said_after_a_kill_too(inputs, tmp_path):
    """Where every λ of the grid is too small the notes say so, and whatever a killed run kept says it."""
    method = FitOptions(intercept="none", alpha="gcv", alphas=np.array([1e-9, 1e-8]))
    options = replace(QUICK, method=method)
    for _ in range(2):
        notes = open_set(*inputs, options=options, scratch=tmp_path).to_json()["notes"]
        said = [note for note in notes if note.startswith("a → b: GCV chose the upper edge")]
        assert len(said) == 1
        assert said[0].endswith(" folds; widen it with --alphas")
