import json

import numpy as np
import pytest
from tests.studies.plan_pairs_made import models, write_models

from intertwine.features.feature_set import FeatureSet
from intertwine.linear_map import LinearMap
from intertwine.studies.plan import PlanOptions, plan
from intertwine.vectors import open_vectors


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_folder):
    """Return a folder of pairs, one of a proxy and a file of a store."""
    root = tmp_path_factory.mktemp("plan")
    pairs = write_models(root / "pairs", write_folder, 80, seed=1)
    proxy = write_models(root / "proxy", write_folder, 70, seed=2, prefix="other")
    np.save(root / "store.npy", models(90, seed=3)[0])
    return pairs, proxy, root / "store.npy"


def arguments(pairs, out, *more):
    """Return the command line of the study."""
    return ["plan", "--pairs", pairs, "--source", "old", "--target", "new", "--out", out, *more]


@pytest.fixture(scope="module")
def plain(installed, data, tmp_path_factory):
    """Return what the command says of the pairs alone, and where its report is."""
    out = tmp_path_factory.mktemp("plain") / "report"
    return installed(*arguments(data[0], out, "--json")), out


def test_json_is_the_report_and_nothing_else(plain):
    """With --json standard output is one JSON object, equal to report.json, without NaN."""
    done, out = plain
    result = done.json()
    assert done.err == ""
    assert result == json.loads((out / "report.json").read_text())
    assert result["study"] == "plan"


def test_the_numbers_are_those_of_the_study(plain, data):
    """The command's object holds what the library's function returns."""
    found = plain[0].json()
    expected = json.loads(json.dumps(plan(FeatureSet.open(data[0]), "old", "new").to_json()))
    assert {key: found[key] for key in expected} == expected


def test_the_maps_lie_beside_the_report(plain):
    """Both maps are written, each the way it leads, and say what was forecast of them."""
    done, out = plain
    rows = {row["option"]: row for row in done.json()["pairs"]}
    for name, option, ends in (
        ("map", "convert", ("old", "new")),
        ("bridge", "bridge", ("new", "old")),
    ):
        fitted = LinearMap.load(out / f"{name}.safetensors")
        assert (fitted.source.name, fitted.target.name) == ends
        assert fitted.info["plan"]["recall_at_10"] == rows[option]["recall_at_10"]
        assert fitted.info["plan"]["n_pairs"] == 80


def test_the_table_and_the_report_are_named(intertwine, data, tmp_path):
    """Without --json the options, the decision with its reason and the path of a page are printed."""
    done = intertwine(*arguments(data[0], tmp_path / "report"))
    page = tmp_path / "report" / "report.html"
    assert f"report: {page}" in done.out
    assert page.read_text().startswith("<!")
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    assert f"{result['decision']}: {result['reason']}" in done.out
    for row in result["pairs"]:
        assert f"{100 * row['recall_at_10']:.1f} (" in done.out


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the report out: what an option changes is in the object."""
    monkeypatch.setattr(
        "intertwine.report.plan.write_plan_report", lambda _, folder: folder / "report.html"
    )


@pytest.mark.parametrize(
    ("option", "check"),
    [
        (["--metric", "ip"], lambda r: r["metric"] == "ip"),
        (["--accept", "0.99"], lambda r: r["accept"] == 0.99),
        (["--least", "0.1"], lambda r: r["least"] == 0.1),
        (["--folds", "12"], lambda r: r["folds"] == 12),
        (["--rows", "60"], lambda r: r["n_pairs"] == 60),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("undrawn")
def test_every_option_does_something(intertwine, plain, data, tmp_path, option, check):
    """Each option of the command reaches the study, and is not its default."""
    assert check(intertwine(*arguments(data[0], tmp_path, "--json", *option)).json())
    assert not check(plain[0].json())


@pytest.mark.usefixtures("undrawn")
def test_proxy_store_and_seed_reach_the_study(intertwine, data, tmp_path):
    """With a proxy, a store and a seed the object is that of the library's function."""
    pairs, proxy, store = data
    more = ("--proxy", proxy, "--store", store, "--seed", 3)
    found = intertwine(*arguments(pairs, tmp_path, "--json", *more)).json()
    expected = plan(
        FeatureSet.open(pairs),
        "old",
        "new",
        options=PlanOptions(seed=3),
        proxy=FeatureSet.open(proxy),
        store=open_vectors(store),
    ).to_json()
    expected = json.loads(json.dumps(expected))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("turned", "code"), [(False, 0), (True, 3)])
def test_the_exit_code_says_whether_to_reembed(
    intertwine, data, tmp_path, write_folder, turned, code
):
    """Where nothing but re-embedding will do the code is 3, and the report is written all the same."""
    a = np.load(data[0] / "old.npy")
    b = np.roll(a, 31, axis=0) if turned else a[:, ::-1]
    folder = write_folder(tmp_path / "pairs", {"old": a, "new": b})
    done = intertwine(*arguments(folder, tmp_path / "report"))
    assert done.code == code
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "report" / "map.safetensors").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--folds", "2"], "got 2 folds, expected 10 to 25"),
        (["--accept", "1.5"], "got least 0.5 and accept 1.5"),
        (["--rows", "10"], "got 10 rows, expected at least 50"),
        (["--target", "newest"], "no space 'newest'"),
        (["--target", "old"], "got old as source and target"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_option_is_one_line(intertwine, data, tmp_path, option, message):
    """What cannot be done is said in one line, and nothing is written."""
    done = intertwine(*arguments(data[0], tmp_path / "out", *option))
    assert message in done.error()
    assert not (tmp_path / "out").exists()
