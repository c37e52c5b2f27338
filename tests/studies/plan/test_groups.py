from dataclasses import replace

import numpy as np
import pytest
from tests.studies.plan.plan_pairs_made import models, read_pairs, write_models

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.studies.plan.folds import Folds, drawn_folds
from intertwine.studies.plan.forecast import from_pairs
from intertwine.studies.plan.groups import (
    COPIES,
    FEW,
    FILE,
    TIGHT,
    found_groups,
    grouped,
    in_order,
    read_groups,
    without_copies,
)
from intertwine.studies.plan.measure import Measure, left_out_together
from intertwine.studies.plan.options import PlanOptions
from intertwine.studies.plan.scores import Direction, native_table
from intertwine.studies.plan.study import plan

D_OLD, D_NEW = 32, 24


def documents(n, copies, *, seed, within=0.1, noise=0.05):
    """Return both models' vectors of near copies of n items each, shuffled, and their documents."""
    fixed, rng = np.random.default_rng(5), np.random.default_rng(seed)
    layers = [fixed.standard_normal((32, d)) / np.sqrt(32) for d in (D_OLD, D_NEW)]
    items = np.repeat(rng.standard_normal((n, 32)), copies, axis=0)
    items += within * rng.standard_normal(items.shape)
    a, b = (
        np.tanh(1.5 * items @ layer) + noise * rng.standard_normal((n * copies, layer.shape[1]))
        for layer in layers
    )
    order = rng.permutation(n * copies)
    return a[order], b[order], np.repeat(np.arange(n), copies)[order]


def cosines(x, y):
    """Return cosines, none of an item with itself."""
    scores = (x @ y.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    np.fill_diagonal(scores, -np.inf)
    return scores


def reached(fitted, a, b):
    """Return the recall of a map on items that it has not seen, counted plainly."""
    native, found = cosines(b, b), cosines(b, fitted.apply(a))
    return np.mean(
        [
            len(set(np.argsort(-x)[:10]) & set(np.argsort(-y)[:10])) / 10
            for x, y in zip(native, found, strict=True)
        ]
    )


def set_of(write_folder, folder, a, b, **more):
    """Return a feature set of two spaces with ids."""
    ids = [f"item{row}" for row in range(len(a))]
    return FeatureSet.open(write_folder(folder, {"old": a, "new": b}, ids=ids, **more))


@pytest.mark.quick("30-6-0.3-0.1")
@pytest.mark.parametrize(
    ("n", "copies", "within", "noise"), [(30, 6, 0.3, 0.1), (40, 5, 0.02, 0.02)]
)
def test_the_forecast_of_near_copies_holds_for_fresh_documents(
    tmp_path, write_folder, n, copies, within, noise
):
    """Pairs that are copies of few documents are told, and the interval holds what fresh ones give."""
    a, b, _ = documents(n, copies, seed=0, within=within, noise=noise)
    opened = set_of(write_folder, tmp_path / "pairs", a, b)
    own, grouping = grouped(read_pairs(opened.paths[0]), opened, None, "cosine", 10)
    assert n <= grouping.n <= n + 2
    assert grouping.grouped >= 0.95 * n * copies
    measure = Measure(native_table(own, "cosine"), groups=own.groups)
    found = from_pairs(Direction(own, "convert", "cosine"), Folds.of(own, 10), measure)
    forecast = measure.estimate(found.gains.recall)
    fresh = [documents(n, copies, seed=100 + k, within=within, noise=noise) for k in range(4)]
    truth = np.mean([reached(found.final, *each[:2]) for each in fresh])
    assert forecast.low <= truth <= forecast.high
    alone = replace(own, groups=None)
    plain = Measure(native_table(alone, "cosine"))
    before = from_pairs(Direction(alone, "convert", "cosine"), Folds.of(alone, 10), plain)
    assert plain.estimate(before.gains.recall).low > truth


@pytest.mark.slow
def test_a_plan_says_first_what_it_found(tmp_path, write_folder):
    """The first warning and the first note name the copies and the forecast that holds without them."""
    a, b, _ = documents(30, 3, seed=1)
    found = plan(set_of(write_folder, tmp_path / "pairs", a, b), "old", "new").to_json()
    row = next(row for row in found["pairs"] if row["option"] == "convert")
    assert found["notes"][0] == found["warnings"][0]
    assert "90 of 90 pairs" in found["warnings"][0]
    assert f"recall@10 {100 * row['recall_at_10']:.1f} %" in found["warnings"][0]
    assert "fresh documents" in found["warnings"][0]
    assert found["n_groups"] == 30


def test_pairs_without_copies_stay_as_they_were(tmp_path, write_folder):
    """Of items that all differ nothing is grouped, and a file of single items changes no bit."""
    folder = write_models(tmp_path / "pairs", write_folder, 80)
    pairs, opened = read_pairs(folder), FeatureSet.open(folder)
    same, grouping = grouped(pairs, opened, None, "cosine", 10)
    assert same is pairs
    assert grouping is None
    (tmp_path / "groups.txt").write_text("\n".join(f"item{row}" for row in range(80)))
    assert grouped(pairs, opened, tmp_path / "groups.txt", "cosine", 10) == (pairs, None)
    ones = replace(pairs, groups=np.arange(80))
    for one, other in zip(Folds.of(pairs, 10).fine, Folds.of(ones, 10).fine, strict=True):
        np.testing.assert_array_equal(one.fold, other.fold)
    np.testing.assert_array_equal(left_out_together(np.arange(80)), np.arange(80) * 20 // 80)


def test_exact_duplicates_in_any_order_are_found(tmp_path, write_folder):
    """Pairs that stand twice, in another order, are as many groups as there are different ones."""
    a, b, _ = models(60)
    order = np.random.default_rng(0).permutation(60)
    twice = (np.vstack([each, each[order]]) for each in (a, b))
    pairs = read_pairs(set_of(write_folder, tmp_path / "pairs", *twice).paths[0])
    grouping, _ = found_groups(pairs, "cosine")
    assert (grouping.n, grouping.how) == (60, COPIES)
    original = np.where(pairs.rows < 60, pairs.rows, order[pairs.rows - 60])
    np.testing.assert_array_equal(grouping.groups, in_order(original))


def test_copies_in_one_space_alone_are_no_copies(tmp_path, write_folder):
    """Items that only the old model cannot tell apart stay in folds of their own."""
    a, b, _ = models(60)
    pairs = read_pairs(
        set_of(write_folder, tmp_path / "pairs", np.repeat(a[:30], 2, 0), b).paths[0]
    )
    assert found_groups(pairs, "cosine")[0].grouped == 0


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_copies_do_not_depend_on_the_scale(tmp_path, write_folder, scale):
    """Vectors of any length give the same groups, by inner product as well."""
    a, b, documents_of = documents(20, 3, seed=2)
    pairs = read_pairs(
        set_of(write_folder, tmp_path / "pairs", scale * a, b / scale).paths[0], metric="ip"
    )
    groups = found_groups(pairs, "ip")[0].groups
    np.testing.assert_array_equal(groups, in_order(documents_of[pairs.rows]))


def test_boilerplate_of_half_the_items_is_one_group(tmp_path, write_folder):
    """Half of the items being one text is told with its number, and folds still part nothing."""
    a, b, _ = models(80)
    a[:40], b[:40] = a[0], b[0]
    pairs = read_pairs(set_of(write_folder, tmp_path / "pairs", a, b).paths[0])
    own, grouping = grouped(pairs, FeatureSet.open(tmp_path / "pairs"), None, "cosine", 10)
    assert (grouping.n, grouping.grouped) == (41, 40)
    fold = Folds.of(own, 10).fine[0].fold
    assert len(set(fold[own.rows < 40])) == 1
    assert set(fold) == set(range(10))


@pytest.mark.slow
def test_too_few_documents_are_refused_or_told(tmp_path, write_folder):
    """Fewer different items than folds are one line; fewer tight groups are told first."""
    a, b, _ = documents(8, 10, seed=3, within=0.001, noise=0.001)
    opened = set_of(write_folder, tmp_path / "few", a, b)
    with pytest.raises(InputError, match=r"got 8 different items.*expected at least 10"):
        plan(opened, "old", "new")
    a, b, _ = documents(8, 12, seed=3, within=0.2, noise=0.1)
    opened = set_of(write_folder, tmp_path / "tight", a, b)
    own, grouping = grouped(read_pairs(opened.paths[0]), opened, None, "cosine", 10)
    assert (grouping.how, grouping.n, own.groups is None or own.groups.max() > 9) == (FEW, 8, True)
    found = plan(opened, "old", "new", options=PlanOptions(rows=96)).to_json()
    assert "8 tight groups" in found["warnings"][0]
    assert "none can be made for others" in found["warnings"][0]


def test_folds_part_no_group_and_hold_about_as_many():
    """Groups of any sizes go whole into folds, no fold is empty, and none has twice its share."""
    sizes = np.random.default_rng(0).integers(1, 9, size=60)
    fold = drawn_folds(sizes, 10, (0, 0))
    held = np.bincount(fold, weights=sizes, minlength=10)
    assert 0.5 * sizes.sum() / 10 < held.min() <= held.max() < 2 * sizes.sum() / 10
    part = left_out_together(np.repeat(np.arange(60), sizes))
    assert len(set(part)) == 20
    assert all(
        len(set(part[start : start + size])) == 1
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True)
    )


FORMS = {
    "spaces": "item0 item1  item2\n\nitem3\n" + "\n".join(f"item{k}" for k in range(4, 60)),
    "tabs": "item0\titem1\titem2\r\nitem3\r\n" + "\r\n".join(f"item{k}" for k in range(4, 60)),
    "table": "id,group\n"
    + "\n".join(f"item{k},{min(k, 3) if k > 2 else 'x'}{k if k > 2 else ''}" for k in range(60)),
    "turned": "group,id\n" + "\n".join(f"g{max(k, 2)},item{k}" for k in range(60)),
    "mark": "\ufeffitem0 item1 item2\n" + "\n".join(f"item{k}" for k in range(3, 60)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_says_what_belongs_together(tmp_path, write_folder, form):
    """A group a line, or an item a line with its group, gives the same groups."""
    folder = write_models(tmp_path / "pairs", write_folder, 60)
    file = tmp_path / "groups"
    file.write_bytes(FORMS[form].encode())
    groups = read_groups(file, FeatureSet.open(folder))
    assert len(set(groups[:3])) == 1
    assert len(set(groups)) == 58
    pairs, grouping = grouped(read_pairs(folder), FeatureSet.open(folder), file, "cosine", 10)
    assert (grouping.how, grouping.n) == (FILE, 58)
    assert len(set(pairs.groups[pairs.rows < 3])) == 1


def test_ids_with_spaces_are_parted_by_tabs(tmp_path, write_folder):
    """An id that holds a space is one id; without ids.txt rows are named by their numbers."""
    a, b, _ = models(60)
    ids = [f"my photo {row}" for row in range(60)]
    opened = FeatureSet.open(write_folder(tmp_path / "pairs", {"old": a, "new": b}, ids=ids))
    file = tmp_path / "groups"
    file.write_text("\t".join(ids[:2]) + "\n" + "\n".join(ids[2:]))
    assert len(set(read_groups(file, opened))) == 59
    numbered = FeatureSet.open(write_folder(tmp_path / "numbered", {"old": a, "new": b}))
    file.write_text("0 59\n" + "\n".join(map(str, range(1, 59))))
    groups = read_groups(file, numbered)
    assert groups[0] == groups[59]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item0 nobody\n", r"line 1: no item 'nobody' in"),
        ("item0 item1\nitem1\n", r"item 'item1' stands in line 1 and in line 2"),
        ("item0 item0\n", r"item 'item0' stands in line 1 and in line 1"),
        ("item0 item1\n", r"lacks 58 of 60 items of .*, such as 'item2'"),
        ("", r"lacks 60 of 60 items"),
        ("id,group\nitem0\n", r"line 2: got 1 cell, expected id and group"),
        (
            "\n".join(" ".join(f"item{k}" for k in range(10 * g, 10 * g + 10)) for g in range(6)),
            r"got 6 groups, expected at least 10",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path, write_folder, text, message):
    """Ids that are unknown, missing or repeated, and too few groups, are told with what is expected."""
    folder = write_models(tmp_path / "pairs", write_folder, 60)
    file = tmp_path / "groups.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        plan(FeatureSet.open(folder), "old", "new", groups=file)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileFormatError, match="absent: cannot be read"):
        plan(FeatureSet.open(folder), "old", "new", groups=tmp_path / "absent")


def test_a_proxy_holds_no_copies_of_the_pairs(tmp_path, write_folder):
    """Items of a proxy that are near copies of pairs under other ids are left out, and told."""
    pairs = read_pairs(write_models(tmp_path / "pairs", write_folder, 60, seed=1))
    a, b, _ = models(120, seed=2)
    a[:5], b[:5] = pairs.a[:5] + 1e-3, pairs.b[:5] - 1e-3
    proxy = read_pairs(set_of(write_folder, tmp_path / "proxy", a, b).paths[0])
    kept = without_copies(proxy, pairs, "cosine")
    assert kept.n == 115
    assert set(kept.rows) == set(range(5, 120))
    assert "5 items of the proxy left out" in kept.notes[-1]
    assert without_copies(kept, pairs, "cosine") is kept


def test_tight_groups_need_a_gap_and_most_items(tmp_path, write_folder):
    """Documents with nothing between are told by the gap; far outliers of loose items are not."""
    a, b, documents_of = documents(30, 6, seed=4, within=0.3, noise=0.3)
    pairs = read_pairs(set_of(write_folder, tmp_path / "tight", a, b).paths[0])
    grouping, copies = found_groups(pairs, "cosine")
    assert grouping.how == TIGHT
    assert copies.how == COPIES
    together = [len(set(grouping.groups[documents_of[pairs.rows] == k])) for k in range(30)]
    assert np.mean(together) < 1.5
    a, b, _ = models(150, seed=5)
    a[:25] += 20 * np.random.default_rng(0).standard_normal((25, a.shape[1]))
    b[:25] += 20 * np.random.default_rng(1).standard_normal((25, b.shape[1]))
    loose = read_pairs(set_of(write_folder, tmp_path / "loose", a, b).paths[0], metric="l2")
    assert found_groups(loose, "l2")[0].how == COPIES
