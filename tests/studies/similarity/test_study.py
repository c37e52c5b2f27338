import itertools
import json

import numpy as np
import pytest
from tests.studies.similarity.similarity_cases import (
    ENDS,
    assert_sound,
    groups_of,
    moments_of_rows,
    study_of,
)

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.metrics import rank_correlation
from intertwine.moments.moments import Moments
from intertwine.passes.moments.groups import MomentGroups
from intertwine.similarity.measures import MEASURES, MOMENT_MEASURES, ROW_MEASURES, row_estimates
from intertwine.similarity.pairwise import RowView
from intertwine.studies.similarity.study import SimilarityOptions, similarity, similarity_of_moments

RNG = np.random.default_rng(0)


def row_of(result, source, target):
    """Return one row of the main table."""
    (row,) = (r for r in result["pairs"] if (r["source"], r["target"]) == (source, target))
    return row


def related(n, dims, seed=0, noise=0.6):
    """Return spaces of one cause."""
    rng = np.random.default_rng([seed, n])
    cause = rng.standard_normal((n, 5))
    return {
        name: cause @ rng.standard_normal((5, d)) + noise * rng.standard_normal((n, d))
        for name, d in dims.items()
    }


# -- spaces whose similarity is known ---------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    """Return the study of a space, copies of it, a noisy copy and an unrelated space."""
    rng = np.random.default_rng(3)
    base = rng.standard_normal((400, 6)) * [3, 2, 1.5, 1, 0.7, 0.5]
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    spaces = {
        "base": base,
        "rotated": 2.5 * base @ turn - 4,
        "affine": base @ (rng.standard_normal((6, 9)) * [[0.05], [0.1], [0.5], [1], [2], [4]]) + 1,
        "noisy": base + 0.7 * rng.standard_normal((400, 6)),
        "unrelated": rng.standard_normal((400, 6)),
    }
    return study_of(spaces, controls=("unrelated",))


def test_a_rotated_copy_scores_as_the_space_itself(known):
    """Shift, rotation and one scale leave every measure at its best value."""
    row = row_of(known, "base", "rotated")
    for name, measure in MEASURES.items():
        # Ridge shrinks a little, and an angle near zero is known to the root of rounding.
        assert row[name] == pytest.approx(measure.best, abs=1e-4 if name == "r2" else 1e-6)
        assert row[f"{name}_calibrated"] == pytest.approx(1, abs=1e-4 if name == "r2" else 1e-6)


def test_an_affine_copy_is_the_same_to_cca_and_not_to_the_others(known):
    """An invertible affine map leaves CCA, PWCCA and R² at 1 and lowers what ignores less."""
    row = row_of(known, "base", "affine")
    for name in ("cca_mean", "pwcca"):
        assert row[name] == pytest.approx(1, abs=1e-9)
    assert row["r2"] > 0.999
    for name in ("cka", "cka_debiased", "rbf_cka", "mutual_knn", "cknna", "rsa"):
        assert row[name] < 0.95
    assert 0.1 < row["procrustes"] < 1.5


def test_an_unrelated_space_scores_the_null(known):
    """Every measure's calibrated score of an unrelated space is near zero, and raw CKA above it."""
    for name in MEASURES:
        row = row_of(known, "base", "unrelated")
        assert abs(row[f"{name}_calibrated"]) < 0.05
        assert row[f"{name}_calibrated_low"] <= 0.01
        assert row[f"{name}_calibrated_high"] >= -0.01


def test_calibrated_scores_are_ordered(known):
    """The rotated copy comes before the noisy one, and that before the unrelated space."""
    for name in MEASURES:
        scores = [row_of(known, "base", other) for other in ("rotated", "noisy", "unrelated")]
        same, noisy, unrelated = (row[f"{name}_calibrated"] for row in scores)
        assert same > noisy > unrelated, name


def test_the_diagonal_holds_the_extreme_values(known):
    """A space against itself has every measure's best value, calibrated 1, and no null."""
    for space in known["spaces"]:
        row = row_of(known, space["space"], space["space"])
        for name, measure in MEASURES.items():
            assert row[name] == row[f"{name}_low"] == row[f"{name}_high"] == measure.best
            assert row[f"{name}_null"] is None
            assert row[f"{name}_calibrated"] == 1
        assert row["alpha"] is None


def test_the_tree_joins_the_copies_first(known):
    """The rotated copy is merged with its original first, and the unrelated space last."""
    first, *_, last = known["dendrogram"]["merges"]
    names = sorted(entry["space"] for entry in known["spaces"])
    order = [entry["space"] for entry in known["spaces"]]
    assert {order[i] for i in first[:2]} == {"base", "rotated"}
    assert order.index("unrelated") in last[:2]
    assert sorted(known["dendrogram"]["leaves"]) == names
    assert sorted(point["space"] for point in known["mds"]["points"]) == names


def test_the_spectrum_of_an_affine_copy_is_all_ones(known):
    """Canonical correlations stand for each unordered pair, in descending order."""
    pairs = {(row["source"], row["target"]): row["rho"] for row in known["spectra"]}
    assert len(pairs) == 10
    assert pairs["base", "affine"] == [1.0] * 6
    noisy = pairs["base", "noisy"]
    assert noisy == sorted(noisy, reverse=True)
    mean = row_of(known, "noisy", "base")["cca_mean"]
    assert np.mean(noisy) == pytest.approx(mean, abs=1e-6)


def test_controls_are_marked(known):
    """A control is marked in the tables of spaces and of pairs."""
    assert {entry["space"] for entry in known["spaces"] if entry["control"]} == {"unrelated"}
    for row in known["pairs"]:
        assert row["control"] == ("unrelated" in (row["source"], row["target"]))


def test_every_number_of_the_main_table_is_sound(known):
    """Scores are in range and in their interval; calibrated = (score − null) / (best − null)."""
    assert_sound(known)
    assert [entry["name"] for entry in known["measures"]] == list(MEASURES)


# -- unrelated spaces -------------------------------------------------------------------------

# n rows, widths of the independent spaces, how often.
SIZES = {
    32: ((4, 8, 20, 31, 64, 64), 2),
    64: ((4, 16, 60, 128), 2),
    256: ((4, 60, 200), 1),
    1024: ((4, 12, 100), 1),
}


def random_pairs(n, draw, number):
    """Return rows of pairs of independent random spaces, with n and both widths."""
    widths = SIZES[n][0]
    rng = np.random.default_rng([n, number, len(draw)])
    spaces = {f"s{i}": getattr(rng, draw)(size=(n, d)) for i, d in enumerate(widths)}
    result = study_of(spaces)
    assert_sound(result)
    width = dict(zip(spaces, widths, strict=True))
    return [
        (n, width[row["source"]], width[row["target"]], row)
        for row in result["pairs"]
        if row["source"] != row["target"]
    ]


@pytest.fixture(scope="module")
def unrelated():
    """Return rows of pairs of all sizes."""
    draws = ("standard_normal", "exponential")
    return [
        row
        for n, (_, times) in SIZES.items()
        for draw, number in itertools.product(draws, range(times))
        for row in random_pairs(n, draw, number)
    ]


@pytest.fixture(scope="module")
def few_rows():
    """Return rows of pairs of which some are wider than their rows."""
    return random_pairs(32, "standard_normal", 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_calibrated_scores_of_random_spaces_are_zero_within_their_interval(unrelated, name):
    """Of pairs of random spaces, at any n and width, about 95 % or more have zero inside.

    At most 5 % may miss, and three binomial standard deviations more.
    """
    inside = []
    for n, d_source, d_target, row in unrelated:
        if MEASURES[name].symmetric and row["source"] > row["target"]:
            continue
        low, high = row[f"{name}_calibrated_low"], row[f"{name}_calibrated_high"]
        if low is None:
            # Only CCA without rows enough for its directions has no calibration.
            assert name in {"cca_mean", "pwcca"}
            if name == "pwcca" and row[name] is None:
                # Correlations of 1 that few rows force tie, over all rows or without a group.
                assert n - 1 < d_source + d_target
                assert "is not determined" in row["reasons"][name]
                continue
            assert n - 1 <= max(d_source, d_target)
            assert "unrelated spaces of this size reach the best value too" in row["reasons"][name]
            continue
        inside.append(low <= 0 <= high)
    assert len(inside) > 30
    allowed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(inside))
    assert 1 - np.mean(inside) <= allowed


def test_cca_of_more_dimensions_than_rows_is_one_and_has_no_calibration(few_rows):
    """Where n ≤ d CCA is 1 for any two spaces; it is shown, with its null of 1 and no calibration."""
    rows = [row for n, d, q, row in few_rows if n <= max(d, q)]
    assert rows
    for row in rows:
        assert row["cca_mean"] == pytest.approx(1, abs=1e-9)
        assert row["cca_mean_null"] == pytest.approx(1, abs=1e-6)
        assert row["cca_mean_calibrated"] is None


def test_plain_cka_of_few_rows_is_high_and_its_calibrated_score_is_not(few_rows):
    """Plain CKA of two random spaces wider than n is far above 0; its calibrated score is not."""
    rows = [row for n, d, q, row in few_rows if n == 32 and min(d, q) == 64]
    assert min(row["cka"] for row in rows) > 0.5
    assert max(abs(row["cka_calibrated"]) for row in rows) < 0.2


# -- sets that are hard -----------------------------------------------------------------------


def noise(n, d, dtype=np.float64):
    """Return random features that depend on their shape alone."""
    return np.random.default_rng([n, d]).standard_normal((n, d)).astype(dtype)


def with_constants(x):
    """Return features of which three are constant."""
    x[:, 2], x[:, 4], x[:, 0] = 1.7, 0, -1e4
    return x


def few(n):
    """Return spaces of n rows."""
    return {"a": noise(n, 3), "b": noise(n, 7), "c": noise(n, 1)}


N = 40
HARD = {
    **{f"{n} rows": few(n) for n in (2, 3, 4, 5, 6, 19, 21)},
    "fewer rows than dimensions": {"a": noise(N, 60), "b": noise(N, 90), "c": noise(N, 5)},
    "constant columns": {
        "a": with_constants(noise(N, 6)),
        "b": noise(N, 4),
        "c": np.maximum(with_constants(noise(N, 9)), 0),
    },
    "constant space": {
        "a": np.full((N, 5), 0.1),
        "b": noise(N, 6),
        "c": np.zeros((N, 2)),
        "d": noise(N, 3),
    },
    "rank one": {
        "a": np.outer(noise(N, 1), noise(1, 5)) + 3,
        "b": np.outer(noise(N, 2)[:, 1], noise(1, 4)),
        "c": noise(N, 3),
    },
    "duplicated rows": {
        "a": np.repeat(noise(4, 6), 10, axis=0),
        "b": np.repeat(noise(4, 6) @ noise(6, 8), 10, axis=0),
        "c": np.repeat(noise(2, 3), 20, axis=0),
        "d": noise(N, 6),
    },
    "one row differs": {"a": np.eye(N)[:, :1], "b": np.eye(N), "c": noise(N, 6)},
    "equal spaces": {"a": noise(N, 6), "b": noise(N, 6), "c": -noise(N, 6)},
    "float16": {
        "a": noise(N, 6, np.float16),
        "b": (1e4 * noise(N, 3)).astype(np.float16),
        "c": (1e-4 * noise(N, 7)).astype(np.float16),
    },
    "extreme scales": {"a": 1e30 * noise(N, 6), "b": 1e-30 * noise(N, 3), "c": noise(N, 4) + 1e6},
}


# Each kind of little is quick once; other numbers of rows are slow.
MORE_ROWS = {"3 rows", "5 rows", "6 rows", "19 rows"}


@pytest.mark.quick("2 rows")
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if case in MORE_ROWS else ()) for case in HARD],
)
def test_degenerate_sets_give_numbers_or_reasons(case, tmp_path, write_folder):
    """No NaN, nothing outside a range, and a reason for each number that is undefined."""
    features = HARD[case]
    opened = FeatureSet.open(write_folder(tmp_path / "set", features))
    result = similarity(opened, scratch=tmp_path / "scratch").to_json()
    json.dumps(result, allow_nan=False)
    assert_sound(result)
    assert len(result["pairs"]) == len(features) ** 2
    for entry in result["spaces"]:
        varies = np.ptp(features[entry["space"]], axis=0).any()
        assert (entry["reason"] is None) == varies
        assert (entry["rank"] == 0) == (not varies)
    assert (result["mds"]["points"] == []) == (result["mds"]["reason"] is not None)


@pytest.mark.slow
def test_a_note_says_where_cca_means_nothing(tmp_path, write_folder):
    """Spaces with as many directions as rows, and spaces that do not vary, are named in notes."""
    spaces = {
        "wide": RNG.standard_normal((12, 40)),
        "flat": np.ones((12, 2)),
        "fine": np.eye(12, 3),
    }
    opened = FeatureSet.open(write_folder(tmp_path / "set", spaces))
    notes = similarity(opened, scratch=tmp_path / "scratch").facts["notes"]
    assert any(note.startswith("wide has rank 11 over 12 rows: CCA") for note in notes)
    assert any(note.startswith("flat does not vary over the rows") for note in notes)
    assert not any(note.startswith("fine") for note in notes)


# -- measures on rows -------------------------------------------------------------------------


@pytest.mark.slow
def test_row_measures_are_those_of_the_sample():
    """Without a cut the row measures are those of `row_estimates` on all rows."""
    features = related(90, {"a": 6, "b": 9})
    result = study_of(features, neighbours=4)
    views = [RowView.of(x.copy(), name=name) for name, x in features.items()]
    for name, expected in row_estimates(*views, k=4).items():
        found = row_of(result, "a", "b")
        assert [found[f"{name}{end}"] for end in ENDS] == list(expected.to_row(name).values())
    assert result["sample_rows"] == 90


@pytest.mark.slow
def test_without_a_sample_there_are_no_row_measures(tmp_path, write_folder):
    """A sample of 0 rows leaves the row measures out of every table; another size is the sample."""
    opened = FeatureSet.open(write_folder(tmp_path / "set", related(80, {"a": 6, "b": 9})))
    options = SimilarityOptions(sample=0)
    result = similarity(opened, scratch=tmp_path / "x", options=options).to_json()
    assert [entry["name"] for entry in result["measures"]] == list(MOMENT_MEASURES)
    assert not any(key.startswith(ROW_MEASURES) for row in result["pairs"] for key in row)
    assert result["sample_rows"] is None
    options = SimilarityOptions(sample=50)
    assert similarity(opened, scratch=tmp_path / "x", options=options).facts["sample_rows"] == 50


def test_the_order_of_rows_changes_nothing_when_ids_are_given(tmp_path, write_folder):
    """Rows in another order, with their ids, give the same numbers to rounding, intervals too."""
    features = related(1300, {"a": 6, "b": 9})
    order = RNG.permutation(1300)
    ids = [f"row {i}" for i in range(1300)]
    straight = write_folder(tmp_path / "straight", features, ids=ids)
    moved = {name: x[order] for name, x in features.items()}
    shuffled = write_folder(tmp_path / "shuffled", moved, ids=[ids[i] for i in order])
    # More rows than RSA uses, and fewer than there are.
    options = SimilarityOptions(sample=1100)
    found, expected = (
        similarity(FeatureSet.open(folder), scratch=tmp_path / "x", options=options).pairs
        for folder in (shuffled, straight)
    )
    for row, same in zip(found, expected, strict=True):
        for key, value in same.items():
            if isinstance(value, float):
                assert row[key] == pytest.approx(value, rel=1e-9, abs=1e-9), key
            else:
                assert row[key] == value


@pytest.mark.slow
def test_two_studies_give_the_same_result(tmp_path, write_folder):
    """The same set gives the same object to the bit."""
    opened = FeatureSet.open(write_folder(tmp_path / "set", related(150, {"a": 6, "b": 9, "c": 4})))
    once, again = (similarity(opened, scratch=tmp_path / "x").to_json() for _ in range(2))
    assert once == again


# -- moments as input -------------------------------------------------------------------------


@pytest.mark.slow
def test_moments_of_all_rows_give_scores_without_intervals():
    """Moments alone give scores, nulls and calibration; intervals and R² say what they lack."""
    features = related(200, {"a": 6, "b": 9, "c": 4})
    result = similarity_of_moments(MomentGroups(moments_of_rows(features))).to_json()
    assert_sound(result)
    grouped = study_of(features, rows=False)
    assert result["n_groups"] is None
    for row in result["pairs"]:
        if row["source"] == row["target"]:
            continue
        same = row_of(grouped, row["source"], row["target"])
        for name in set(MOMENT_MEASURES) - {"r2"}:
            for end in ("", "_null", "_calibrated"):
                assert row[f"{name}{end}"] == pytest.approx(same[f"{name}{end}"], rel=1e-9)
            assert row[f"{name}_low"] is row[f"{name}_calibrated_high"] is None
        assert row["r2"] is None
        for name in MOMENT_MEASURES:
            assert "hold no row groups; give the feature set" in row["reasons"][name]


@pytest.mark.slow
def test_a_set_and_its_groups_give_the_same_numbers(tmp_path, write_folder):
    """The study of a folder is that of its row groups' moments and of its rows."""
    features = related(200, {"a": 6, "b": 9})
    opened = FeatureSet.open(write_folder(tmp_path / "set", features))
    folder = similarity(opened, scratch=tmp_path / "scratch").to_json()
    found, expected = row_of(folder, "a", "b"), row_of(study_of(features, rows=False), "a", "b")
    for name in MOMENT_MEASURES:
        for end in ENDS:
            key = f"{name}{end}"
            assert found[key] == pytest.approx(expected[key], rel=1e-6, abs=1e-9)
    assert folder["n_groups"] == 20


# -- swaps and layers -------------------------------------------------------------------------


@pytest.mark.slow
def test_swaps_are_compared_with_each_measure(monkeypatch):
    """With swaps of the same spaces each measure has a correlation, controls and strangers apart."""
    monkeypatch.setattr(rank_correlation, "BOOTSTRAP_DRAWS", 60)
    spaces = related(80, dict.fromkeys("abcde", 5))
    swaps = [
        {
            "source": source,
            "target": target,
            "accuracy": 0.5,
            "percent_change": float(RNG.normal()),
            "control": False,
        }
        for source, target in itertools.permutations("abcdez", 2)
    ]
    result = study_of(spaces, rows=False, swaps=swaps, controls=("e",))
    assert len(result["swaps"]) == 20
    (cka, *_) = result["interchangeability"]
    assert cka["measure"] == "cka"
    assert (cka["n_networks"], cka["n_pairs"]) == (4, 12)
    assert -1 <= cka["ci_low"] <= cka["spearman"] <= cka["ci_high"] <= 1


@pytest.mark.slow
def test_layers_of_two_networks_are_matched():
    """Layers of two networks that see the same cause are matched, and stand side by side."""
    rng = np.random.default_rng(1)
    causes = [rng.standard_normal((120, 5)) for _ in range(2)]
    spaces = {
        f"{net}.block{number}": causes[k] @ rng.standard_normal((5, 8))
        for k, number in enumerate((10, 2))
        for net in ("n", "m")
    }
    result = study_of(spaces, rows=False, layers=("n", "m"))
    assert [entry["space"] for entry in result["spaces"]] == [
        f"{net}.block{number}" for net in ("n", "m") for number in (2, 10)
    ]
    assert len(result["layers"]) == 4
    for row in result["layers"]:
        assert row["source_layer"] == row["best_layer"]
        same = row_of(
            result,
            f"{row['source_network']}.{row['source_layer']}",
            f"{row['target_network']}.{row['best_layer']}",
        )
        assert row["cka_debiased"] == same["cka_debiased"]


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 19}, "got 19 row groups, expected at least 20"),
        ({"cca_alpha": -1.0}, r"got CCA λ -1\.0, expected a number of at least 0"),
        ({"cca_alpha": float("nan")}, "got CCA λ nan"),
        ({"variance": 0.0}, r"got variance 0\.0, expected a share"),
        ({"variance": 1.1}, r"got variance 1\.1"),
        ({"controls": ("z",)}, r"got control 'z', expected one of the spaces a, b"),
        ({"layers": ("z",)}, "got --layers z, expected at least two spaces"),
        ({"sample": 1}, r"got a sample of 1 row, expected 2 … 20000"),
        ({"sample": -3}, "got a sample of -3 rows"),
        ({"sample": 20_001}, "got a sample of 20001 rows"),
        ({"neighbours": 0}, "got k = 0 neighbours, expected 1 to 29 for 30 rows"),
        ({"neighbours": 30}, "got k = 30 neighbours"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, write_folder, options, message):
    """A value that cannot be is refused by what was got and what was expected."""
    opened = FeatureSet.open(write_folder(tmp_path / "set", related(30, {"a": 3, "b": 4})))
    with pytest.raises(InputError, match=message):
        similarity(opened, scratch=tmp_path / "x", options=SimilarityOptions(**options))


def test_one_space_is_refused():
    """A space alone is similar to none."""
    with pytest.raises(InputError, match="got one space, a, expected at least two"):
        similarity_of_moments(groups_of(related(30, {"a": 3})))


def test_no_rows_are_refused():
    """Moments of no rows are refused."""
    with pytest.raises(InputError, match="rows"):
        similarity_of_moments(MomentGroups(Moments({"a": 3, "b": 2})))


def test_one_row_is_refused(tmp_path, write_folder):
    """One row has no similarity: how many are needed is said."""
    opened = FeatureSet.open(write_folder(tmp_path / "set", related(1, {"a": 3, "b": 4})))
    with pytest.raises(InputError, match="got n = 1 row, expected at least 2"):
        similarity(opened, scratch=tmp_path / "x")


@pytest.mark.slow
def test_rows_in_another_order_are_doubted_first():
    """Two networks that are no more alike than shuffled rows are asked about; a control is not."""
    spaces = related(300, {"a": 6, "b": 7, "c": 5})
    assert study_of(spaces)["warnings"] == []
    spaces["b"] = spaces["b"][np.random.default_rng(0).permutation(300)]
    found = study_of(spaces)
    assert [doubt.split(" are no more")[0] for doubt in found["warnings"]] == ["a and b", "b and c"]
    assert found["notes"][:2] == found["warnings"]
    assert study_of(spaces, controls=("b",))["warnings"] == []


def test_transposed_arrays_are_asked_about_first(tmp_path, write_folder):
    """Many more dimensions than rows are the first doubt, where no list of rows settles it."""
    rows = np.random.default_rng(0).standard_normal((16, 400))
    folder = write_folder(tmp_path, {"a": rows, "b": rows + 1})
    doubts = similarity(FeatureSet.open(folder)).facts["warnings"]
    assert doubts[0].startswith("a.npy, b.npy: got 16 rows of 400 dimensions; expected (rows, ")
