from types import SimpleNamespace

import numpy as np
import pytest

from intertwine.metrics.retrieval import Lists
from intertwine.numerics.linalg import unit
from intertwine.studies.plan.decision import Judge, reranked
from intertwine.studies.plan.measure import Measure

N = 200


def table(queries, items):
    """Return the cosines of queries with items, none with itself."""
    scores = (unit(queries) @ unit(items).T).astype(np.float32)
    np.fill_diagonal(scores, -np.inf)
    return scores


ITEMS = np.random.default_rng(0).standard_normal((N, 6))
LABELS = (ITEMS[:, 0] > 0).astype(int)


def noisy(amount, seed=1):
    """Return items with noise: the more, the fewer neighbours are found."""
    return ITEMS + amount * np.random.default_rng(seed).standard_normal(ITEMS.shape)


def forecast(measure, option, amount, fit="pairs"):
    """Return a forecast whose map leaves so much noise."""
    tables = [(1.0, table(ITEMS, noisy(amount)))]
    direction = SimpleNamespace(option=option, pairs=SimpleNamespace(a=ITEMS))
    gains = measure.of(tables)
    return SimpleNamespace(direction=direction, fit=fit, tables=tables, gains=gains)


def decide(convert, bridge, *, accept=0.8, least=0.5, labels=None, store=None, more=()):
    """Return the decision on two options with so much noise."""
    native = table(ITEMS, ITEMS)
    measure = Measure(native, labels)
    nothing = measure.of([(1.0, table(ITEMS, noisy(50.0, seed=2)))])
    judge = Judge(measure, native, measure.of([(1.0, native)]), nothing, accept, least)
    forecasts = [forecast(measure, "convert", convert), forecast(measure, "bridge", bridge)]
    forecasts += [forecast(measure, *each, fit="proxy") for each in more]
    return judge.decide(forecasts, store)


@pytest.mark.quick(
    "noise6-options6-reembed-the two spaces seem unrelated",
    "noise5-options5-reembed-less than the 50 % that is worth repairing",
    "noise1-options1-convert-Converting reaches",
)
@pytest.mark.parametrize(
    ("noise", "options", "decision", "said"),
    [
        ((0.05, 0.05), {}, "bridge", "nothing has to be written"),
        ((0.01, 0.08), {}, "convert", "Converting reaches"),
        ((0.05, 0.8), {}, "convert", "at least 80 %"),
        ((0.3, 0.8), {}, "convert-and-backfill", "re-ranking the first 50"),
        ((0.3, 0.3), {"accept": 1.0}, "reembed", "neither re-ranking the first 50 nor"),
        ((0.8, 0.8), {}, "reembed", "less than the 50 % that is worth repairing"),
        ((50.0, 50.0), {}, "reembed", "the two spaces seem unrelated"),
    ],
)
def test_each_decision_has_its_case(noise, options, decision, said):
    """From all but perfect maps down to useless ones, the cheapest way that is good enough is told."""
    found = decide(*noise, **options)
    assert found.decision == decision
    assert said in found.reason
    assert found.reason.endswith(".")


def test_a_bridge_worse_than_converting_is_not_taken():
    """A bridge that is good enough but loses to converting beyond chance is not recommended."""
    assert decide(0.01, 0.1, accept=0.5).decision == "convert"


@pytest.mark.slow
def test_labels_decide_where_there_are_any():
    """Maps that lose neighbours but keep their labels are good enough with labels."""
    assert decide(0.3, 0.9).decision == "convert-and-backfill"
    found = decide(0.3, 0.9, labels=LABELS)
    assert found.decision in {"bridge", "convert"}
    assert "nDCG@10" in found.reason


@pytest.mark.parametrize(("of", "said"), [("store", "The store's"), ("pairs", "The pairs'")])
def test_a_store_of_another_domain_is_reembedded(of, said):
    """However good the maps, pairs that are not of the store's domain forecast nothing for it."""
    row = {"of": of, "under": "pairs", "ratio": 2.34, "shift": True}
    found = decide(0.0, 0.0, store=row)
    assert found.decision == "reembed"
    assert said in found.reason
    assert "2.3 times" in found.reason
    assert decide(0.0, 0.0, store={**row, "shift": False}).decision == "bridge"


def test_the_better_fit_is_taken():
    """With a proxy the maps of the better fit are recommended, and the fit is said."""
    assert decide(0.8, 0.8, more=[("convert", 0.01), ("bridge", 0.8)]).fit == "proxy"
    assert decide(0.01, 0.8, more=[("convert", 0.8), ("bridge", 0.8)]).fit == "pairs"


def test_reranking_sorts_by_the_other_scores():
    """Listed items are put in the order of other scores, ended lists kept at their end."""
    native = np.array([[0.0, 3.0, 1.0, 2.0]])
    lists = Lists(np.array([[9.0, 8.0, 7.0, -np.inf]]), np.array([[2, 3, 1, -1]]))
    found = reranked(lists, native)
    np.testing.assert_array_equal(found.items, [[1, 3, 2, -1]])
    np.testing.assert_array_equal(found.scores, [[3, 2, 1, -np.inf]])


def judged(found, stay, reembed, labels, accept=0.8, seed=7):
    """Return the decision where a map, the old model and the new one leave so much noise."""
    native = table(ITEMS, noisy(reembed, seed=7))
    measure = Measure(native, labels)
    nothing = measure.of([(1.0, table(ITEMS, noisy(50.0, seed=2)))])
    old = measure.of([(1.0, table(ITEMS, noisy(stay, seed=3)))])
    judge = Judge(measure, native, measure.of([(1.0, native)]), nothing, accept, 0.4, old)
    options = []
    for option in ("convert", "bridge"):
        tables = [(1.0, table(ITEMS, noisy(found, seed=seed)))]
        direction = SimpleNamespace(option=option, pairs=SimpleNamespace(a=ITEMS))
        gains = measure.of(tables)
        options.append(
            SimpleNamespace(direction=direction, fit="pairs", tables=tables, gains=gains)
        )
    return judge, judge.decide(options, None)


@pytest.mark.quick("1.0-0.1-1.0-stay-Your old model alone finds more: nDCG@10")
@pytest.mark.parametrize(
    ("found", "stay", "reembed", "decision", "said"),
    [
        (1.0, 0.1, 1.0, "stay", "Your old model alone finds more: nDCG@10"),
        (3.0, 0.1, 3.0, "stay", "Your old model alone finds more: nDCG@10"),
        (0.5, 0.5, 0.5, "stay", "Your old model alone finds"),
        (0.7, 0.7, 0.0, "stay", "only re-embedding everything finds surely more"),
        (0.1, 3.0, 0.1, "bridge", "nothing has to be written"),
    ],
)
def test_staying_is_weighed_by_labels(found, stay, reembed, decision, said):
    """Where the new model, or the map, finds not surely more than the old model, the advice is to stay."""
    _, made = judged(found, stay, reembed, LABELS, accept=0.5)
    assert made.decision == decision
    assert said in made.reason
    assert made.moving == "bridge"
    assert (made.otherwise_reason is not None) == (decision == "stay")


@pytest.mark.parametrize(
    ("stay", "reembed", "decision"), [(0.1, 2.0, "stay"), (2.0, 0.1, "reembed")]
)
def test_staying_is_weighed_where_no_map_finds_anything(stay, reembed, decision):
    """Unrelated spaces are no reason to re-embed with a model that finds less than the old one."""
    _, made = judged(50.0, stay, reembed, LABELS, seed=9)
    assert made.decision == decision
    assert made.moving == "reembed"
    assert "seem unrelated" in (made.otherwise_reason or made.reason)


def test_staying_is_not_weighed_without_labels():
    """By recall the old model is held to the new one's neighbours: it is no judge of the new one."""
    assert judged(0.05, 0.0, 0.05, None)[1].decision == "bridge"


@pytest.mark.quick("two by chance")
@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(N, int),
        np.arange(N) // 185 * np.arange(N),
        np.random.default_rng(0).integers(2, size=N),
        np.random.default_rng(0).integers(40, size=N),
    ],
    ids=["one", "one and single ones", "two by chance", "forty by chance"],
)
def test_labels_that_say_nothing_do_not_decide(labels):
    """Where labels hardly tell the truth from a random order recall decides."""
    judge, found = judged(0.5, 0.1, 0.0, labels)
    assert judge.name == "recall"
    assert "recall@10" in found.reason
    assert found.decision not in {"bridge", "convert", "stay"}


@pytest.mark.slow
def test_quality_is_taken_above_chance():
    """A random order has no share of the quality, re-embedding all of it, whatever labels say."""
    labels = (ITEMS[:, 0] > -0.5).astype(int)
    judge, _ = judged(0.3, 0.3, 0.0, labels)
    assert judge.name == "ndcg"
    assert float(judge.chance.ndcg[0]) > 0.55
    assert judge.quality(judge.chance)[0] == pytest.approx(0, abs=1e-12)
    assert judge.quality(judge.reembed)[0] == pytest.approx(1)
    orders = np.random.default_rng(1)
    shuffled = [
        judge.quality(
            judge.measure.of([(1.0, table(orders.standard_normal((N, 3)), ITEMS[:, :3]))])
        )[0]
        for _ in range(20)
    ]
    assert np.mean(shuffled) == pytest.approx(0, abs=0.05)


def test_a_gap_of_the_other_measure_is_said():
    """Where nDCG decides and recall lies far under it, the reason says the recall."""
    _, found = judged(0.25, 3.0, 0.0, LABELS)
    assert found.decision in {"bridge", "convert"}
    assert "recall@10 is" in found.reason
