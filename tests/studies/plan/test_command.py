import json

import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, write_models
from tests.studies.results import assert_saved_as

from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.studies.plan.options import PlanOptions
from intertwine.studies.plan.study import plan
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


@pytest.mark.slow
def test_the_numbers_are_those_of_the_study(plain, data):
    """The command's object holds what the library's function returns."""
    found = plain[0].json()
    expected = json.loads(json.dumps(plan(FeatureSet.open(data[0]), "old", "new").to_json()))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.slow
@pytest.mark.usefixtures("figure_files")
def test_save_writes_the_report_of_the_command(plain, data, tmp_path):
    """A result of the library, saved, is the command's report in every byte of every file."""
    assert_saved_as(plan(FeatureSet.open(data[0]), "old", "new"), plain[1], tmp_path / "saved")


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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "check"),
    [
        (["--metric", "ip"], lambda r: r["metric"] == "ip"),
        pytest.param(["--accept", "0.99"], lambda r: r["accept"] == 0.99, marks=pytest.mark.slow),
        pytest.param(["--least", "0.1"], lambda r: r["least"] == 0.1, marks=pytest.mark.slow),
        pytest.param(["--folds", "12"], lambda r: r["folds"] == 12, marks=pytest.mark.slow),
        (["--rows", "60"], lambda r: r["n_pairs"] == 60),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("undrawn")
def test_every_option_does_something(intertwine, plain, data, tmp_path, option, check):
    """Each option of the command reaches the study, and is not its default."""
    assert check(intertwine(*arguments(data[0], tmp_path, "--json", *option)).json())
    assert not check(plain[0].json())


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turned", "code"), [pytest.param(False, 0, marks=pytest.mark.slow), (True, 3)]
)
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


@pytest.fixture(scope="module")
def better_old(tmp_path_factory, write_folder):
    """Return pairs whose labels the old model tells apart far better than the new one."""
    a, _, _ = models(150, seed=4, noise=0.1)
    labels = np.digitize(a[:, 0], np.quantile(a[:, 0], [0.25, 0.5, 0.75]))
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    b = a @ turn + 0.1 * rng.standard_normal((150, 24))
    a = np.hstack([a, 4 * np.eye(4)[labels]])
    folder = tmp_path_factory.mktemp("old") / "pairs"
    return write_folder(folder, {"old": a, "new": b}, labels=labels)


def test_staying_is_a_decision_of_its_own(intertwine, better_old, tmp_path):
    """Where the old model alone finds more the decision says so, in words and on the page, exit 0."""
    done = intertwine(*arguments(better_old, tmp_path))
    assert done.code == 0
    result = json.loads((tmp_path / "report.json").read_text())
    assert result["decision"] == "stay"
    assert "stay: Your old model alone finds more: nDCG@10" in done.out
    assert result["otherwise"] in {"bridge", "convert", "convert-and-backfill", "reembed"}
    assert f"if the old model has to go: {result['otherwise']}: " in done.out
    page = (tmp_path / "report.html").read_text()
    assert "<h1>Stay with the old model</h1>" in page
    assert (tmp_path / "map.safetensors").exists()


@pytest.mark.slow
def test_labels_that_say_nothing_are_told_first(intertwine, data, tmp_path, write_folder):
    """With one label for all the first line says that recall decides, on the terminal and the page."""
    a, b = (np.load(data[0] / f"{name}.npy") for name in ("old", "new"))
    folder = write_folder(tmp_path / "one", {"old": a, "new": b}, labels=np.zeros(80, int))
    done = intertwine(*arguments(folder, tmp_path / "report"))
    assert done.out.startswith("warning: labels do not decide")
    result = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (result["quality"], result["labels"]) == ("recall", True)
    assert "nDCG" not in result["reason"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.index("labels do not decide") < page.index('class="lede"')


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_groups_reach_the_study(intertwine, data, tmp_path):
    """A file of groups is read, its groups counted, and the forecast is another one."""
    file = tmp_path / "groups.txt"
    file.write_text("\n".join(f"item{k}\titem{k + 40}" for k in range(40)))
    found = intertwine(*arguments(data[0], tmp_path / "out", "--groups", file, "--json")).json()
    assert found["n_groups"] == 40
    assert any(note.startswith("groups.txt: 40 groups") for note in found["notes"])
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "-1"], "got seed -1, expected 0 or more"),
        (["--groups", "nowhere.txt"], "nowhere.txt: cannot be read (No such file"),
        (["--accept", "nan"], "got least 0.5 and accept nan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(intertwine, data, tmp_path, more, message):
    """A seed, a file and a share that cannot be are told in one line, and nothing is written."""
    done = intertwine(*arguments(data[0], tmp_path / "out", *more))
    assert message in done.error()
    assert not (tmp_path / "out").exists()


def made_wrong(a, b, kind):
    """Return pairs that no plan can be made of."""
    if kind == "all rows the same":
        return np.ones_like(a), b
    if kind == "two different rows":
        return np.repeat(a[:2], len(a) // 2, axis=0), np.repeat(b[:2], len(b) // 2, axis=0)
    if kind == "NaN":
        a[3, 2] = np.nan
    return (a[:40], b[:40]) if kind == "few" else (a, b)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("all rows the same", "space old is constant"),
        ("two different rows", "got 2 different items"),
        ("NaN", "NaN or infinite features in row"),
        ("few", "got 40 pairs, expected at least 50"),
    ],
)
def test_pairs_of_which_nothing_can_be_made_are_one_line(
    intertwine, data, tmp_path, write_folder, kind, message
):
    """Constant, few, repeated and broken vectors are refused by name."""
    a, b = (np.load(data[0] / f"{name}.npy") for name in ("old", "new"))
    a, b = made_wrong(a, b, kind)
    folder = write_folder(tmp_path / "pairs", {"old": a, "new": b})
    assert message in intertwine(*arguments(folder, tmp_path / "out")).error()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_store_is_migrated_as_it_was_forecast(intertwine, tmp_path, write_folder):
    """A plan that took lengths off converts a store, reads it back and switches, by the same map."""
    rng = np.random.default_rng(2)
    a, b, _ = models(160, seed=6, d_old=32, d_new=24, noise=0.1)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    long = a * np.exp(rng.standard_normal((160, 1)))
    folder = write_folder(tmp_path / "pairs", {"old": long, "new": b})
    assert intertwine(*arguments(folder, tmp_path / "plan")).code in {0, 3}
    fitted = LinearMap.load(tmp_path / "plan" / "map.safetensors")
    assert fitted.unit_source
    np.save(tmp_path / "store.npy", long)
    old, new = (f"npy:{tmp_path / name}.npy" for name in ("store", "new"))
    for more in ((), ("--switch",)):
        done = intertwine(
            "migrate", old, new, "--map", tmp_path / "plan" / "map.safetensors", *more, "--json"
        )
        assert done.code == 0, done.err
    made = np.load(tmp_path / "store.npy")
    mapped = a @ fitted.weight.T + fitted.bias
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    np.testing.assert_allclose(made, mapped, atol=1e-5)
