import json

import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, write_models

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.plan.options import PlanOptions
from intertwine.studies.plan.study import plan
from intertwine.studies.plan.tables import TABLES
from intertwine.vectors import open_vectors

ROW = {"source", "target"}
RECALL = {"recall_at_10", "ci_low", "ci_high"}
QUALITY = {"quality", "quality_low", "quality_high"}
NDCG = {"ndcg_at_10", "ndcg_low", "ndcg_high"}
LABELLED = {f"{name}_{end}" for name in ("ndcg", "precision") for end in ("at_10", "low", "high")}
COLUMNS = {
    "pairs": {"option", "fit", "n_pairs", *RECALL, *LABELLED, *QUALITY, "reason"},
    "baselines": {"option", "n_pairs", *RECALL, *LABELLED, *QUALITY, "reason"},
    "curve": {"option", "n_pairs", *RECALL, *NDCG, *QUALITY},
    "candidates": {"method", "alpha", "recall_at_10", "mean_cosine", "chosen"},
    "rerank": {"depth", *RECALL},
    "backfill": {"share", *RECALL},
    "thresholds": {"share", "native", "converted", "bridged"},
    "calibration": {"option", "slope", "intercept", "r2", "reason"},
    "gallery": {"n_items", "option", "recall_at_10"},
    "domain": {"of", "under", "ratio", "shift"},
}
FACTS = {
    *("study", "version", "inputs", "notes", "source", "target", "d_source", "d_target", "n_pairs"),
    *("n_proxy", "metric", "k", "folds", "confidence", "decision", "reason", "fit", "method"),
    *("alpha", "accept", "least", "pairs_needed", "pairs_needed_reason", "labels", "unit"),
    *("warnings", "otherwise", "otherwise_reason", "quality", "n_groups"),
}


def study(folder, *, proxy=None, store=None, **options):
    """Return the study's result, and its object as JSON gives it back."""
    result = plan(
        FeatureSet.open(folder),
        "old",
        "new",
        options=PlanOptions(**options),
        proxy=None if proxy is None else FeatureSet.open(proxy),
        store=None if store is None else open_vectors(store),
    )
    return result, json.loads(json.dumps(result.to_json(), allow_nan=False))


def row_of(found, table, **key):
    """Return the one row of a table that has these values."""
    (row,) = [row for row in found[table] if all(row[name] == key[name] for name in key)]
    return row


@pytest.fixture(scope="module")
def folders(tmp_path_factory, write_folder):
    """Return pairs, a proxy and a store of one kind."""
    root = tmp_path_factory.mktemp("plan")
    pairs = write_models(root / "pairs", write_folder, 200, seed=1)
    proxy = write_models(root / "proxy", write_folder, 150, seed=2, prefix="other")
    np.save(root / "store.npy", models(500, seed=3)[0])
    return pairs, proxy, root / "store.npy"


@pytest.fixture(scope="module")
def whole(folders):
    """Return the plan with everything."""
    pairs, proxy, store = folders
    return study(pairs, proxy=proxy, store=store)


@pytest.fixture(scope="module")
def plain(folders):
    """Return the plan with pairs alone."""
    return study(folders[0])


def test_the_keys_are_those_of_the_contract(whole, plain):
    """Facts and columns are as scripts and the report expect them, in every row."""
    for _, found in (whole, plain):
        assert set(found) == FACTS | set(COLUMNS)
        for name, columns in COLUMNS.items():
            for row in found[name] or ():
                assert set(row) == ROW | columns, name
    assert plain[1]["domain"] is None
    assert (plain[1]["n_proxy"], whole[1]["n_proxy"]) == (None, 150)
    assert whole[1]["inputs"] == {"pairs": ["pairs"], "proxy": ["proxy"], "store": "store.npy"}


def test_rows_have_the_declared_fields():
    """The fields that the report declares are those that the study's rows have."""
    declared = {table.name: set(table.columns) for table in TABLES}
    assert declared == {name: ROW | columns for name, columns in COLUMNS.items()}


def test_every_option_has_its_row(whole, plain):
    """Mapped options have a row a fit, the others one, and staying stands among the baselines."""
    others = [("nothing", None), ("reembed", None), ("mean", None)]
    own = [("convert", "pairs"), ("bridge", "pairs")]
    proxy = [("convert", "proxy"), ("bridge", "proxy")]
    for (_, found), mapped in ((whole, own + proxy), (plain, own)):
        assert [(row["option"], row["fit"]) for row in found["pairs"]] == mapped + others
        assert [row["option"] for row in found["baselines"]] == ["stay"]


def test_options_stand_in_the_order_they_must(plain):
    """Re-embedding is the ceiling, chance the floor, and a map lies between and above no map."""
    recall = {row["option"]: row["recall_at_10"] for row in plain[1]["pairs"]}
    assert recall["reembed"] == 1
    assert recall["mean"] == pytest.approx(10 / 199)
    assert recall["mean"] < recall["nothing"] + 0.05 < recall["convert"] < 1
    for row in plain[1]["pairs"]:
        for name, (low, high) in {
            "recall": ("ci_low", "ci_high"),
            "ndcg": ("ndcg_low", "ndcg_high"),
        }.items():
            assert 0 <= row[low] <= row[f"{name}_at_10"] <= row[high] <= 1


def test_the_tables_agree_with_each_other(plain):
    """The curve's end, the first depth, no backfill and the whole gallery are the forecast itself."""
    found = plain[1]
    for option in ("convert", "bridge"):
        row = row_of(found, "pairs", option=option)
        last = row_of(found, "curve", option=option, n_pairs=200)
        gallery = row_of(found, "gallery", option=option, n_items=200)
        assert last["recall_at_10"] == pytest.approx(row["recall_at_10"])
        assert gallery["recall_at_10"] == pytest.approx(row["recall_at_10"], abs=1e-9)
    recall = row_of(found, "pairs", option="convert")["recall_at_10"]
    assert row_of(found, "rerank", depth=10)["recall_at_10"] == pytest.approx(recall)
    assert row_of(found, "backfill", share=0)["recall_at_10"] == pytest.approx(recall)
    assert row_of(found, "backfill", share=1)["recall_at_10"] == pytest.approx(1, abs=1e-3)
    assert [row["n_items"] for row in found["gallery"][:4]] == [25, 50, 100, 200]


def test_more_pairs_make_better_maps(plain):
    """Recall rises along the curve, from 25 pairs to all."""
    for option in ("convert", "bridge"):
        rows = [row for row in plain[1]["curve"] if row["option"] == option]
        assert [row["n_pairs"] for row in rows] == [25, 50, 100, 200]
        assert rows[0]["recall_at_10"] < rows[-1]["recall_at_10"]


def test_one_candidate_a_direction_is_chosen_by_recall(plain):
    """The chosen candidate has the best recall, and its λ is that of the map and of the result."""
    result, found = plain
    for source, option in (("old", "convert"), ("new", "bridge")):
        rows = [row for row in found["candidates"] if row["source"] == source]
        (chosen,) = [row for row in rows if row["chosen"]]
        assert chosen["recall_at_10"] == max(row["recall_at_10"] for row in rows)
        fitted = result.maps[option]
        assert (fitted.method, fitted.info["alpha"]) == (chosen["method"], chosen["alpha"])
        assert (fitted.source.name, fitted.target.name) == (source, chosen["target"])
        assert fitted.info["n"] == 200
        assert fitted.source_directions is not None


@pytest.mark.slow
def test_fewer_pairs_than_dimensions_are_noted(write_folder, tmp_path):
    """There the forecast may be too high, and says so."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 60, 70))
    _, found = study(write_folder(tmp_path / "few", {"old": a, "new": a @ b.T @ b[:60]}))
    assert any("60 pairs are fewer than the dimensions" in note for note in found["notes"])


def test_every_option_says_how_many_pairs_it_comes_from(plain):
    """Rows hold the number of pairs that their map was fitted on, or that were looked at."""
    _, found = plain
    assert {row["n_pairs"] for row in [*found["pairs"], *found["baselines"]]} == {200}


def test_maps_say_what_they_were_forecast_to_do(plain):
    """A map carries the forecast of its option with its interval, and the number of pairs."""
    result, found = plain
    for option, fitted in result.maps.items():
        row = row_of(found, "pairs", option=option)
        expected = {key: row[key] for key in ("recall_at_10", "ci_low", "ci_high")}
        assert fitted.info["plan"] == {**expected, "n_pairs": 200, "unit": False}


@pytest.mark.slow
def test_the_forecast_is_what_fresh_items_give(tmp_path, write_folder):
    """The forecast's intervals hold what the maps reach on items that nothing was fitted on."""
    folder = write_models(tmp_path / "pairs", write_folder, 400, seed=5, noise=0.4)
    result, found = study(folder)
    for option, fitted in result.maps.items():
        reached = []
        for seed in range(4):
            a, b, _ = models(400, seed=100 + seed, noise=0.4)
            queries, items = (b, fitted.apply(a)) if option == "convert" else (fitted.apply(b), a)
            native, scores = (cosine(b, b), cosine(queries, items))
            reached += [
                len(set(np.argsort(-one)[:10]) & set(np.argsort(-other)[:10])) / 10
                for one, other in zip(native, scores, strict=True)
            ]
        row = row_of(found, "pairs", option=option)
        assert row["ci_low"] - 0.01 <= np.mean(reached) <= row["ci_high"] + 0.01


def cosine(queries, items):
    """Return cosines, none of an item with itself."""
    scores = (queries @ items.T) / np.outer(
        np.linalg.norm(queries, axis=1), np.linalg.norm(items, axis=1)
    )
    np.fill_diagonal(scores, -np.inf)
    return scores


@pytest.mark.slow
def test_spaces_that_have_nothing_in_common_are_reembedded(folders, tmp_path, write_folder):
    """Pairs whose rows do not belong together promise chance, and the advice is to re-embed."""
    a, b = (np.load(folders[0] / f"{name}.npy") for name in ("old", "new"))
    folder = write_folder(tmp_path / "pairs", {"old": a, "new": np.roll(b, 57, axis=0)})
    _, found = study(folder)
    row = row_of(found, "pairs", option="convert")
    assert row["ci_low"] <= 10 / 199 <= row["ci_high"] + 0.01
    assert found["decision"] == "reembed"
    assert "the two spaces seem unrelated" in found["reason"]
    assert found["warnings"][0] == found["notes"][0]
    assert (
        "are the rows of old.npy and new.npy the same items in the same order?" in found["notes"][0]
    )


@pytest.mark.slow
def test_one_and_the_same_space_is_bridged(folders, tmp_path, write_folder):
    """Where the new model is the old one turned, nothing has to be written."""
    a = np.load(folders[0] / "old.npy")
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((24, 24)))[0]
    folder = write_folder(tmp_path / "pairs", {"old": a, "new": a @ turn})
    _, found = study(folder)
    assert found["decision"] == "bridge"
    assert row_of(found, "pairs", option="convert")["recall_at_10"] > 0.95
    assert found["pairs_needed"] in {25, 50, 100, 200}
    assert found["pairs_needed_reason"] is None


@pytest.mark.slow
def test_one_model_under_two_names_needs_no_map(folders, tmp_path, write_folder):
    """Old and new vectors that are the same are not called unrelated: the first line says so."""
    a = np.load(folders[0] / "old.npy")
    _, found = study(write_folder(tmp_path / "pairs", {"old": a, "new": a}), rows=100)
    assert found["decision"] == "bridge"
    assert found["warnings"][0].startswith("no map is needed: new queries find 100.0 %")


@pytest.mark.slow
def test_a_store_of_another_domain_is_reembedded(folders, tmp_path):
    """Vectors about another mean than the pairs' are no store that the forecast holds for."""
    np.save(tmp_path / "store.npy", models(300, seed=3)[0] + 1.5)
    _, found = study(folders[0], store=tmp_path / "store.npy")
    assert found["decision"] == "reembed"
    assert "no forecast from them holds for it" in found["reason"]
    assert {(row["of"], row["under"]) for row in found["domain"]} == {
        ("store", "pairs"),
        ("pairs", "store"),
    }
    assert any(row["shift"] for row in found["domain"])


def test_a_store_of_the_same_domain_changes_nothing(whole, plain):
    """Every comparison of sets of one kind says so, and the forecast of the pairs stays."""
    assert [row["shift"] for row in whole[1]["domain"]] == [False] * 4
    for option in ("convert", "bridge"):
        both = (row_of(found, "pairs", option=option, fit="pairs") for _, found in (whole, plain))
        one, other = both
        assert one == other


@pytest.mark.slow
def test_the_order_of_rows_does_not_matter(folders, plain, tmp_path, write_folder):
    """Shuffled rows give the same plan, since ids decide folds, groups and samples."""
    order = np.random.default_rng(9).permutation(200)
    ids = (folders[0] / "ids.txt").read_text().split()
    folder = write_folder(
        tmp_path / "pairs",
        {name: np.load(folders[0] / f"{name}.npy")[order] for name in ("old", "new")},
        labels=np.load(folders[0] / "labels.npy")[order],
        ids=[ids[row] for row in order],
    )
    assert study(folder)[1] == plain[1]


@pytest.mark.slow
def test_items_of_unknown_label_are_counted(folders, plain, tmp_path, write_folder):
    """Items with a negative label count for recall, not by labels, and a note says how many they are."""
    labels = np.load(folders[0] / "labels.npy")
    labels[:23] = -1
    folder = write_folder(
        tmp_path / "pairs",
        {name: np.load(folders[0] / f"{name}.npy") for name in ("old", "new")},
        labels=labels,
        ids=(folders[0] / "ids.txt").read_text().split(),
    )
    _, found = study(folder)
    assert any(note.startswith("23 of 200 items have a negative label") for note in found["notes"])
    row, other = (row_of(each, "baselines", option="stay") for each in (found, plain[1]))
    assert row["recall_at_10"] == other["recall_at_10"]
    assert not any("negative label" in note for note in plain[1]["notes"])


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_other_metrics_have_their_own_neighbours(folders, plain, metric):
    """Recall by inner product or distance differs from that by cosine, and is no worse than chance."""
    _, found = study(folders[0], metric=metric)
    assert found["metric"] == metric
    row, other = (row_of(each, "pairs", option="convert") for each in (found, plain[1]))
    assert row["recall_at_10"] != other["recall_at_10"]
    assert row["ci_low"] > 10 / 199


@pytest.mark.slow
def test_fewer_rows_and_other_folds_are_as_asked(folders):
    """The numbers of rows and folds, and the seed of their draws, reach the study."""
    _, one = study(folders[0], rows=80, n_folds=12)
    _, other = study(folders[0], rows=80, n_folds=12, seed=1)
    assert (one["n_pairs"], one["folds"]) == (80, 12)
    assert "80 of 200 pairs" in one["notes"][0]
    assert one["pairs"] != other["pairs"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "dot"}, "got metric 'dot', expected one of cosine, ip, l2"),
        ({"accept": 0.4}, "got least 0.5 and accept 0.4"),
        ({"n_folds": 9}, "got 9 folds, expected 10 to 25"),
        ({"n_folds": 26}, "got 26 folds"),
        ({"rows": 20}, "got 20 rows, expected at least 50"),
    ],
)
def test_bad_options_are_refused(folders, options, message):
    """Each option outside its range is one clear line."""
    with pytest.raises(InputError, match=message):
        study(folders[0], **options)


def test_one_space_is_no_pair_of_them(folders):
    """The same name twice, and a name that is not there, are refused."""
    pairs = FeatureSet.open(folders[0])
    with pytest.raises(InputError, match="got old as source and target"):
        plan(pairs, "old", "old")
    with pytest.raises(InputError, match="no space 'newer'"):
        plan(pairs, "old", "newer")
