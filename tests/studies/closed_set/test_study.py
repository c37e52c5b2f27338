import itertools
import json
import math
from functools import cache

import numpy as np
import pytest
from tests.helpers import covering
from tests.studies import reference

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.map_pair import load_map
from intertwine.metrics.intervals import paired_change_interval, proportion_interval
from intertwine.moments.accumulators import precisions
from intertwine.passes.fit import fit_to_files
from intertwine.passes.moments import joint as passes
from intertwine.passes.moments.parts import chunks_with_extra
from intertwine.spaces import Head
from intertwine.studies.closed_set import fresh
from intertwine.studies.closed_set import rows as closed_set_facts
from intertwine.studies.closed_set.lookup import ClosedSetStudy
from intertwine.studies.closed_set.study import closed_set

N_EVAL = 1000

# What to make, and how many fit rows.
KINDS = {
    "unequal dimensions": ({"dims": {"a": 24, "b": 16, "c": 30}}, 240),
    "fewer rows than dimensions": ({"dims": {"a": 64, "b": 50}}, 40),
    "dead features": ({"dims": {"a": 20, "b": 20, "c": 12}, "dead": 6}, 200),
    "float16": ({"dims": {"a": 24, "b": 18}, "dtype": np.float16}, 240),
    "more classes than dimensions": ({"dims": {"a": 6, "b": 9, "c": 25}, "n_classes": 20}, 240),
    "heads of low rank": ({"dims": {"a": 24, "b": 16}, "head_rank": 4}, 240),
    "many spaces": ({"dims": {f"net{i}": 7 + i for i in range(8)}, "n_classes": 6}, 150),
}


# Eight spaces make 56 pairs.
SLOW = {"many spaces": pytest.mark.slow}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=SLOW.get(kind, ()), id=kind.replace(" ", "-")) for kind in KINDS
    ],
)
def problem(request, tmp_path_factory, networks):
    """Return folders of one kind, and the reference on them by α."""
    facts, n = KINDS[request.param]
    nets, folder = networks(**facts), tmp_path_factory.mktemp("kind")
    fit, _ = nets.save(folder / "fit", n, 1, prefix="f")
    evaluation, labels = nets.save(folder / "eval", N_EVAL, 2, prefix="e")
    heads = {a: (head.weight, head.bias) for a, head in nets.heads.items()}
    data = (fit, evaluation, heads, labels)

    @cache
    def expected(alpha):
        return reference.closed_set(*data, alpha=alpha)

    return folder, data, expected


def run(folder, *, alpha=1.0, precision="float64", points=1, controls=(), **options):
    """Run the study on the folders `fit` and `eval` and return its JSON object."""
    result = closed_set(
        FeatureSet.open(folder / "fit"),
        FeatureSet.open(folder / "eval"),
        options=FitOptions(alpha=alpha, **options),
        precision=precision,
        curve_points=points,
        controls=controls,
    )
    return json.loads(json.dumps(result.to_json(), allow_nan=False))


def by_pair(rows, **chosen):
    """Return the off-diagonal rows of a table by pair."""
    return {
        (row["source"], row["target"]): row
        for row in rows
        if row["source"] != row["target"] and chosen.items() <= row.items()
    }


def percent(counts):
    """Return the percent change of reference counts, or None where it is undefined."""
    before = counts["both"] + counts["lost"]
    return 100 * (counts["gained"] - counts["lost"]) / before if before else None


@pytest.mark.quick("fewer rows than dimensions-1.0-float32")
@pytest.mark.parametrize(
    ("problem", "alpha", "precision"),
    [
        pytest.param(*case, marks=SLOW.get(case[0], ()))
        for case in covering(KINDS, [1.0, "gcv", "gcv-per-target"], ["float64", "float32"])
    ],
    indirect=["problem"],
)
def test_equals_an_independent_study(problem, alpha, precision):
    """Accuracy, change, agreement, R² and λ of every pair are those of a naive second study."""
    folder, _, reference_at = problem
    result = run(folder, alpha=alpha, precision=precision)
    expected, natives = reference_at(alpha)
    rows = by_pair(result["pairs"])
    assert rows.keys() == expected.keys()
    # Rounding may turn a prediction: 2 of 2,000 at most, and in float64 none.
    allowed = 0 if precision == "float64" else N_EVAL / 1000
    for pair, counts in expected.items():
        row = rows[pair]
        assert abs(row["accuracy"] * N_EVAL - counts["correct"]) <= allowed + 1e-9, pair
        assert abs(row["top5"] * N_EVAL - counts["top5"]) <= allowed + 1e-9, pair
        assert row["agreement"] == pytest.approx(counts["same"] / N_EVAL, abs=0.0015)
        assert row["percent_change"] == pytest.approx(percent(counts), abs=0.15)
        target = natives[pair[1]]
        change = 100 * (counts["correct"] - target) / target
        assert row["percent_change_target"] == pytest.approx(change, abs=0.15)
        assert row["r2"] == pytest.approx(counts["r2"], abs=1e-4)
        found = (row["alpha"], row["alpha_min"], row["alpha_max"])
        # The grid is in the unit of the scatter, which float32 products leave seven digits.
        rounding = 1e-9 if precision == "float64" else 1e-6
        assert found == pytest.approx(counts["alpha"], rel=rounding), pair
        if precision == "float64":
            interval = paired_change_interval(
                counts["both"], counts["gained"], counts["lost"], N_EVAL
            )
            assert (row["ci_low"], row["ci_high"]) == pytest.approx(interval)


@pytest.mark.quick("fewer-rows-than-dimensions-float32")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_analytic_tables_equal_pseudo_inverses(problem, precision):
    """Both analytic forms give the counts of pinv, exactly at full row rank, and say the rank."""
    folder, (_, _, heads, _), reference_at = problem
    result = run(folder, precision=precision)
    expected, _ = reference_at(1.0)
    n_classes = len(next(iter(heads.values()))[1])
    for form in ("affine", "homogeneous"):
        rows = by_pair(result["analytic"], form=form)
        assert rows.keys() == expected.keys()
        for (a, b), row in rows.items():
            matrix = heads[b][0] if form == "affine" else np.column_stack(heads[b])
            assert row["rank"] == np.linalg.matrix_rank(matrix)
            assert row["classes"] == n_classes
            full = row["rank"] == n_classes
            counts = expected[a, b][form]
            if full:
                assert counts["differing"] == row["differing"] == 0
                assert row["percent_change"] == 0
            assert abs(row["differing"] - counts["differing"]) <= (0 if full else 3)
            assert row["accuracy"] == pytest.approx(counts["correct"] / N_EVAL, abs=0.003)


@pytest.mark.quick("fewer-rows-than-dimensions", "float16")
def test_baselines_equal_their_definitions(problem):
    """Doing nothing is padding or cutting, and the mean answers one class for every row."""
    folder, _, reference_at = problem
    result = run(folder)
    expected, _ = reference_at(1.0)
    for kind in ("identity", "mean"):
        rows = by_pair(result["baselines"], baseline=kind)
        assert rows.keys() == expected.keys()
        for pair, row in rows.items():
            counts = expected[pair][kind]
            assert row["accuracy"] * N_EVAL == pytest.approx(counts["correct"])
            assert row["agreement"] * N_EVAL == pytest.approx(counts["same"])
            assert row["percent_change"] == pytest.approx(percent(counts))


@pytest.mark.quick("float16", "heads-of-low-rank")
def test_natives_are_the_networks_themselves(problem):
    """Native rows, and the diagonal of the main table, are the heads on their own features."""
    folder, (_, evaluation, heads, labels), _ = problem
    result = run(folder)
    diagonal = {row["source"]: row for row in result["pairs"] if row["source"] == row["target"]}
    assert list(diagonal) == [row["space"] for row in result["natives"]] == list(evaluation)
    for row in result["natives"]:
        weight, bias = heads[row["space"]]
        logits = evaluation[row["space"]].astype(np.float64) @ weight.T + bias
        top = np.argsort(-logits, axis=1)
        correct = int((top[:, 0] == labels).sum())
        assert row["accuracy"] == diagonal[row["space"]]["accuracy"] == correct / N_EVAL
        assert row["top5"] == (top[:, :5] == labels[:, None]).any(axis=1).mean()
        assert (row["ci_low"], row["ci_high"]) == proportion_interval(correct, N_EVAL)
        assert row["dimension"] == evaluation[row["space"]].shape[1]


# -- the curve --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trio(tmp_path_factory, networks):
    """Return folders of three networks whose fit rows lie sorted by class, and the data."""
    nets, folder = networks({"a": 20, "b": 14, "c": 17}), tmp_path_factory.mktemp("trio")
    fit, labels = nets.rows(500, 1)
    order = np.argsort(labels, kind="stable")
    ids = np.array([f"row{i}" for i in range(500)])
    data = {a: x[order] for a, x in fit.items()}, labels[order], ids[order]
    evaluation, eval_labels = nets.save(folder / "eval", N_EVAL, 2, prefix="e")
    return folder, nets, data, (evaluation, eval_labels)


@pytest.fixture(scope="module")
def sorted_fit(trio, write_folder):
    """Return the folder of the sorted fit rows."""
    folder, nets, (fit, labels, ids), _ = trio
    write_folder(folder / "fit", fit, heads=nets.heads, labels=labels, ids=ids)
    return folder


@pytest.fixture(scope="module")
def curved(sorted_fit):
    """Return the study on them with a curve."""
    return run(sorted_fit, points=9)


def subsets(ids, sizes):
    """Return the rows of each subset by the hash of their ids."""
    import hashlib

    hashes = [
        int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")
        for value in ids
    ]
    order = sorted(range(len(ids)), key=hashes.__getitem__)
    return {size: sorted(order[:size]) for size in sizes}


def test_the_curve_has_eight_points_or_more(curved):
    """The curve has the points asked for, ascending to all rows, with every pair at each."""
    sizes = sorted({row["n_fit"] for row in curved["curve"]})
    assert len(sizes) == 9
    assert sizes[-1] == 500
    for size in sizes:
        rows = [row for row in curved["curve"] if row["n_fit"] == size]
        assert sorted(by_pair(rows)) == sorted(itertools.permutations("abc", 2))


def test_every_row_has_the_declared_fields(curved):
    """What the study writes holds every field that its tables declare."""
    for table in ClosedSetStudy.tables:
        assert all(set(table.columns) <= set(row) for row in curved[table.name]), table.name


@pytest.mark.slow
def test_every_point_is_the_study_on_a_subset_by_id(curved, trio):
    """Each point equals the naive study on the rows whose ids have the least hashes."""
    _, nets, (fit, labels, ids), (evaluation, eval_labels) = trio
    heads = {a: (head.weight, head.bias) for a, head in nets.heads.items()}
    sizes = sorted({row["n_fit"] for row in curved["curve"]})
    for size, rows in subsets(ids, sizes).items():
        part = {a: x[rows] for a, x in fit.items()}
        expected, _ = reference.closed_set(part, evaluation, heads, eval_labels, alpha=1.0)
        found = by_pair(curved["curve"], n_fit=size)
        for pair, counts in expected.items():
            assert found[pair]["accuracy"] * N_EVAL == pytest.approx(counts["correct"])
            assert found[pair]["percent_change"] == pytest.approx(percent(counts))
            assert found[pair]["classes_covered"] == np.unique(labels[rows]).size


def test_a_small_subset_of_sorted_rows_covers_many_classes(curved):
    """Rows that lie sorted by class are still drawn from all over."""
    first = min(curved["curve"], key=lambda row: row["n_fit"])
    assert first["n_fit"] <= 20
    assert first["classes_covered"] >= 6
    assert curved["classes_in_fit"] == curved["curve"][-1]["classes_covered"] == 10


def test_the_last_point_is_the_main_table(curved):
    """The curve ends at the main table's numbers."""
    last, main = by_pair(curved["curve"], n_fit=500), by_pair(curved["pairs"])
    for pair, row in last.items():
        for key in ("accuracy", "percent_change", "ci_low", "ci_high", "alpha", "control"):
            assert row[key] == main[pair][key]


@pytest.mark.slow
def test_no_row_is_read_into_the_moments_twice(sorted_fit, monkeypatch):
    """Over the whole curve each fit row is multiplied exactly once."""
    seen = []

    def spy(*arguments):
        for chosen, chunk in chunks_with_extra(*arguments):
            seen.extend(np.asarray(chosen).tolist())
            yield chosen, chunk

    monkeypatch.setattr(passes, "chunks_with_extra", spy)
    run(sorted_fit, points=9)
    assert sorted(seen) == list(range(500))


def test_a_precision_asked_for_holds_at_every_point(tmp_path, networks):
    """With float64 features that float32 cannot hold are scored at every point of the curve."""
    nets = networks({"a": 12, "b": 9})
    for part, n, seed in (("fit", 200, 1), ("eval", 90, 2)):
        nets.save(tmp_path / part, n, seed, prefix=part)
        np.save(tmp_path / part / "a.npy", 1e39 * np.load(tmp_path / part / "a.npy").astype(float))
    for row in run(tmp_path, points=4)["curve"]:
        assert row["accuracy"] is not None


@pytest.mark.slow
def test_the_order_of_the_file_changes_nothing(curved, trio, write_folder, tmp_path):
    """The same rows in another order give the same curve and the same tables."""
    _, nets, (fit, labels, ids), (evaluation, eval_labels) = trio
    order = np.random.default_rng(9).permutation(500)
    shuffled = {a: x[order] for a, x in fit.items()}
    write_folder(tmp_path / "fit", shuffled, heads=nets.heads, labels=labels[order], ids=ids[order])
    write_folder(tmp_path / "eval", evaluation, heads=nets.heads, labels=eval_labels)
    other = run(tmp_path, points=9)
    for table in ("pairs", "curve"):
        for row, same in zip(other[table], curved[table], strict=True):
            assert row.keys() == same.keys()
            for key in row:
                assert row[key] == pytest.approx(same[key], abs=1e-9), (table, key)


@pytest.mark.slow
def test_maps_see_neither_labels_nor_heads(curved, trio, write_folder, tmp_path):
    """Without fit labels and with other heads the maps, their R² and their λ are the same."""
    _, nets, (fit, _, ids), (evaluation, eval_labels) = trio
    rng = np.random.default_rng(0)
    heads = {a: Head(rng.standard_normal(head.weight.shape)) for a, head in nets.heads.items()}
    write_folder(tmp_path / "fit", fit, ids=ids)
    write_folder(tmp_path / "eval", evaluation, heads=heads, labels=eval_labels)
    other = run(tmp_path)
    for row, same in zip(other["pairs"], curved["pairs"], strict=True):
        assert row["r2"] == pytest.approx(same["r2"], abs=1e-12)
        assert row["alpha"] == same["alpha"]
    assert other["classes_in_fit"] is None
    assert all(row["classes_covered"] is None for row in other["curve"])


# -- methods ----------------------------------------------------------------------------------


@pytest.mark.quick("least-squares")
@pytest.mark.parametrize(
    "options",
    [
        {"method": "least-squares"},
        {"method": "procrustes", "scale": True},
        {"method": "reduced-rank", "rank": 5},
        {"method": "cca", "rank": 8},
        {"method": "analytic"},
        {"method": "identity"},
        {"method": "mean"},
        {"intercept": "homogeneous"},
        {"intercept": "none", "alpha": "gcv"},
        {"prior": "analytic", "alpha": 30.0},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_method_is_scored_as_its_saved_maps_would_be(sorted_fit, trio, tmp_path, options):
    """After a curve too, a pair's score is that of the map that `fit` writes, in B's classifier."""
    _, nets, _, (evaluation, labels) = trio
    result = run(sorted_fit, points=4, **options)
    fit_to_files([sorted_fit / "fit"], tmp_path, options=FitOptions(**options))
    for (a, b), row in by_pair(result["pairs"]).items():
        mapped = load_map(tmp_path / f"{a}--{b}.safetensors").apply(evaluation[a].astype(float))
        right = np.argmax(nets.heads[b].logits(mapped), axis=1) == labels
        assert row["accuracy"] == right.mean()
        truth = evaluation[b].astype(float)
        r2 = 1 - ((mapped - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
        assert row["r2"] == pytest.approx(r2, abs=1e-6)


# -- the paper's arguments --------------------------------------------------------------------


@pytest.fixture(scope="module")
def controlled(tmp_path_factory, networks, write_folder):
    """Return a study with an untrained control among four networks."""
    folder = tmp_path_factory.mktemp("controlled")
    nets = networks({"a": 26, "control": 25, "b": 18, "c": 22, "d": 24}, n_classes=10)
    rng = np.random.default_rng(5)
    nets.heads["control"] = Head(rng.standard_normal((10, 25)))
    for part, n, seed in (("fit", 700, 1), ("eval", N_EVAL, 2)):
        features, labels = nets.rows(n, seed)
        # An untrained network whose features have nothing to do with the images.
        features["control"] = np.maximum(rng.standard_normal((n, 25)), 0)
        ids = [f"{part}{i}" for i in range(n)]
        write_folder(folder / part, features, heads=nets.heads, labels=labels, ids=ids)
    return run(folder, controls=["control"], points=3)


def test_controls_stand_last_and_are_marked(controlled):
    """Controls come after the networks and every row that touches one says so."""
    assert controlled["controls"] == ["control"]
    assert [row["space"] for row in controlled["natives"]] == ["a", "b", "c", "d", "control"]
    for table in ("pairs", "curve"):
        for row in controlled[table]:
            assert row["control"] == ("control" in {row["source"], row["target"]})


def test_medians_are_over_pairs_of_networks(controlled):
    """Median, worst, gains and best control cell are those of the table, controls kept apart."""
    rows = by_pair(controlled["pairs"])
    networks = {pair: row for pair, row in rows.items() if not row["control"]}
    changes = {pair: row["percent_change"] for pair, row in networks.items()}
    assert len(changes) == 12
    assert controlled["median_percent_change"] == pytest.approx(np.median(list(changes.values())))
    worst = min(changes, key=changes.get)
    assert controlled["worst_percent_change"] == changes[worst]
    assert tuple(controlled["worst_pair"].values()) == worst
    native = {row["space"]: row["accuracy"] for row in controlled["natives"]}
    gains = [pair for pair, row in networks.items() if row["accuracy"] > native[pair[1]]]
    assert (controlled["gains"]["count"], controlled["gains"]["n_pairs"]) == (len(gains), 12)
    best = max(row["accuracy"] for pair, row in rows.items() if row["control"])
    assert controlled["best_control_cell"]["accuracy"] == best
    assert "control" in controlled["best_control_cell"].values()
    assert controlled["loss_and_source_accuracy"]["n_networks"] == 4


def test_the_contrast_of_analytic_and_fitted_maps(controlled):
    """Into targets that know nothing the analytic map keeps A's accuracy; a fitted one cannot."""
    rows = {(row["source"], row["target"]): row for row in controlled["contrast"]}
    assert sorted(rows) == sorted(
        (a, b) for a in "abcd" for b in ("control", "fresh-random-features")
    )
    for row in rows.values():
        assert row["native_accuracy"] > 0.5
        assert row["analytic_accuracy"] == row["native_accuracy"]
        assert row["analytic_differing"] == 0
        assert row["chance"] == 0.1
        # A map of noise answers with few classes; 1/K with room for its luck.
        assert row["fitted_accuracy"] < 0.22
        assert row["ci_low"] <= row["fitted_accuracy"] <= row["ci_high"]
    assert all(fresh.NAME not in row.values() for row in controlled["analytic"])


def test_the_papers_numbers_stand_beside_imagenets_classes_only(monkeypatch, tmp_path, networks):
    """The paper's median and worst, with its n, are in the result where the classes are ImageNet's."""
    nets = networks({"a": 8, "b": 6})
    nets.save(tmp_path / "fit", 60, 1)
    nets.save(tmp_path / "eval", 50, 2)
    found = run(tmp_path)
    assert found["paper"] is None
    assert found["chance"] == 1 / found["n_classes"]
    assert closed_set_facts.IMAGENET_CLASSES == (1000, 1001)
    monkeypatch.setattr(closed_set_facts, "IMAGENET_CLASSES", (10,))
    paper = run(tmp_path)["paper"]
    assert (paper["median_percent_change"], paper["worst_percent_change"]) == (-1.90, -11.6)
    assert paper["n_fit"] == 1_281_167


# -- the contract -----------------------------------------------------------------------------

CHANGE = {"percent_change", "ci_low", "ci_high", "reason"}
PAIR = {"source", "target", "accuracy"}
CONTRACT = {
    "pairs": PAIR
    | CHANGE
    | {"top5", "percent_change_target", "agreement", "r2", "alpha", "alpha_min", "alpha_max"},
    "natives": {"space", "accuracy", "top5", "ci_low", "ci_high", "reported_top1", "dimension"}
    | {"crop", "parameters"},
    "analytic": PAIR | {"percent_change", "differing", "rank", "classes", "form", "reason"},
    "baselines": PAIR | CHANGE | {"baseline"},
    "curve": PAIR | CHANGE | {"n_fit", "classes_covered", "alpha"},
}
# Facts that a plain folder simply does not state.
UNSTATED = {
    "reported_top1",
    "paper_top1",
    "crop",
    "parameters",
    "encoder",
    "reason",
    "classes_covered",
}


def assert_contract(result):
    """Check keys, finiteness, and that whatever is undefined says why."""
    top = {"median_percent_change", "worst_percent_change", "n_fit", "n_eval", "controls"}
    assert top <= result.keys()
    assert result["study"] == "closed-set"
    for table, keys in CONTRACT.items():
        assert result[table], table
        for row in result[table]:
            assert keys <= row.keys(), table
            for key, value in row.items():
                if value is None and key not in UNSTATED:
                    assert row["reason"], (table, key)
                if isinstance(value, float):
                    assert math.isfinite(value)


@pytest.mark.quick("procrustes")
@pytest.mark.parametrize("method", ["ridge", "procrustes", "mean"])
def test_every_row_has_the_keys_of_the_contract(sorted_fit, method):
    """Every row of every table has its keys, and a number that is null has a reason."""
    assert_contract(run(sorted_fit, method=method, points=8))


def test_the_pairs_hold_the_diagonal(curved):
    """The main table holds every ordered pair, the native networks on its diagonal."""
    pairs = [(row["source"], row["target"]) for row in curved["pairs"]]
    assert pairs == list(itertools.product("abc", repeat=2))
    for row in curved["pairs"]:
        if row["source"] == row["target"]:
            assert (row["percent_change"], row["agreement"], row["r2"]) == (0.0, 1.0, 1.0)


def degenerate(kind, rng):
    """Return fit features, evaluation features, heads and labels of a degenerate study."""
    dims = {"a": 4, "b": 5}
    n_fit, n_eval = {"two fit rows": (2, 50), "one evaluation row": (40, 1)}.get(kind, (40, 50))
    fit = {a: rng.standard_normal((n_fit, d)) for a, d in dims.items()}
    evaluation = {a: rng.standard_normal((n_eval, d)) for a, d in dims.items()}
    heads = {a: Head(rng.standard_normal((6, d))) for a, d in dims.items()}
    labels = rng.integers(5, size=n_eval)
    if kind == "native accuracy 0":
        # A class that a's head never answers.
        heads["a"] = Head(heads["a"].weight, np.array([0, 0, 0, 0, 0, -1e6]))
        labels[:] = 5
    if kind == "constant target":
        fit["b"][:], evaluation["b"][:] = 0.1, 0.1
    if kind == "constant source":
        fit["a"][:], evaluation["a"][:] = 0.1, 0.1
    if kind == "head of zeros":
        heads["b"] = Head(np.zeros((6, 5)))
    if kind == "two classes":
        heads = {a: Head(head.weight[:2]) for a, head in heads.items()}
        labels %= 2
    return fit, evaluation, heads, labels


@pytest.mark.quick("gcv-two fit rows", "1.0-two fit rows")
@pytest.mark.parametrize(
    "kind",
    [
        "native accuracy 0",
        "constant target",
        "constant source",
        "head of zeros",
        "two fit rows",
        "one evaluation row",
        "two classes",
    ],
)
@pytest.mark.parametrize("alpha", [1.0, "gcv", "gcv-per-target"])
def test_degenerate_studies_are_null_with_a_reason_and_never_nan(
    tmp_path, write_folder, kind, alpha
):
    """Whatever is undefined is null and says why; there is no NaN, no warning and no crash."""
    fit, evaluation, heads, labels = degenerate(kind, np.random.default_rng(0))
    write_folder(tmp_path / "fit", fit)
    write_folder(tmp_path / "eval", evaluation, heads=heads, labels=labels)
    result = run(tmp_path, alpha=alpha, points=8)
    assert_contract(result)
    rows = by_pair(result["pairs"])
    if kind == "native accuracy 0":
        assert rows["a", "b"]["percent_change"] is rows["a", "b"]["ci_low"] is None
        assert "native accuracy is 0" in rows["a", "b"]["reason"]
        assert rows["b", "a"]["percent_change_target"] is None
        assert rows["b", "a"]["percent_change"] is not None
    if kind == "constant target":
        assert rows["a", "b"]["r2"] is None
        assert "constant" in rows["a", "b"]["reason"]
        assert rows["b", "a"]["r2"] is not None


@pytest.mark.slow
def test_without_pairs_of_networks_the_medians_are_null(sorted_fit):
    """Where all pairs touch a control the medians are undefined, and a reason says so."""
    result = run(sorted_fit, controls=["b", "c"])
    assert result["median_percent_change"] is result["worst_percent_change"] is None
    assert "no pair of networks" in result["reason"]
    assert run(sorted_fit)["reason"] is None


@pytest.mark.slow
def test_the_result_is_the_same_every_time(sorted_fit):
    """The same input gives the same object."""
    assert run(sorted_fit, points=5) == run(sorted_fit, points=5)


@pytest.mark.slow
def test_progress_is_told(sorted_fit):
    """Each stage of the work tells how far it is and never passes its end."""
    seen = []
    closed_set(
        FeatureSet.open(sorted_fit / "fit"),
        FeatureSet.open(sorted_fit / "eval"),
        options=FitOptions(),
        curve_points=3,
        progress=lambda *step: seen.append(step),
    )
    assert {what for what, _, _ in seen} >= {"joint moments", "fitting and scoring"}
    assert all(0 <= done <= total for _, done, total in seen)
    assert ("joint moments", 500, 500) in seen


@pytest.mark.slow
def test_precision_fast_is_near_float64(sorted_fit, monkeypatch):
    """Scores from bfloat16 products are those of float64 but for a row or two."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: ["AMX"])
    exact, fast = (run(sorted_fit, precision=name) for name in ("float64", "fast"))
    assert fast["precision"] == "fast"
    for one, two in zip(exact["pairs"], fast["pairs"], strict=True):
        assert abs(one["accuracy"] - two["accuracy"]) <= 2 / 1000
        assert one["source"] == one["target"] or abs(one["r2"] - two["r2"]) < 1e-3
