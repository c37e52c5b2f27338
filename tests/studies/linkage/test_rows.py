from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

from intertwine.metrics.intervals import people_counts, percentile_interval
from intertwine.metrics.ranking import tpir_at_fpir
from intertwine.studies.linkage.audit import Condition, Fits
from intertwine.studies.linkage.rows import Resample, cmc_rows, linkable_rows, rate_row
from intertwine.studies.linkage.search import GRID, Searches
from intertwine.studies.linkage.tables import PAIRS

N_PEOPLE, N_REPLICATES = 11, 300


@pytest.fixture
def people():
    """Return 10 enrolled people with probes, and one person without a template."""
    probes = np.repeat(np.arange(11), [1, 5, 2, 2, 3, 1, 4, 2, 2, 6, 3])
    return SimpleNamespace(place=probes, searched=np.arange(11), shared=np.arange(10))


@pytest.fixture
def found(people):
    """Return made-up searches of these people."""
    rng = np.random.default_rng(0)
    n = len(people.place)
    enrolled = people.place < 10
    mated, non_mated = np.zeros((2, N_PEOPLE, GRID), np.int64)
    mated[:10, 1400:1460] = rng.integers(0, 3, (10, 60))
    non_mated[:10, 1000:1440] = rng.integers(0, 9, (10, 440))
    return Searches(
        enrolled=enrolled,
        ranks=np.where(enrolled, rng.integers(1, 12, n), 0),
        mate=rng.random(n) + 0.5,
        correct=enrolled & (rng.random(n) < 0.7),
        impostor=rng.random(n),
        mated=mated,
        non_mated=non_mated,
        n_gallery=11,
        n_templates=30,
    )


def test_intervals_write_out_the_drawn_people(people, found):
    """Intervals of rank 1 and TPIR are percentiles over searches written out as often as drawn."""
    row = rate_row(found, Resample(people, N_REPLICATES))
    counts = people_counts(N_PEOPLE, N_REPLICATES).astype(int)
    rank1, tpir = [], []
    for drawn in counts:
        rows = np.repeat(np.arange(len(people.place)), drawn[people.place])
        mates = rows[found.enrolled[rows]]
        rank1.append((found.ranks[mates] == 1).mean())
        tpir.append(
            float(tpir_at_fpir(found.mate[mates], found.correct[mates], found.impostor[rows], 0.01))
        )
    for name, draws in (("rank1", rank1), ("tpir_at_fpir_1e-2", tpir)):
        ends = row[f"{name}_low"], row[f"{name}_high"]
        assert ends == pytest.approx(percentile_interval(np.array(draws)), abs=1e-12)


def test_chance_is_guessing(people, found):
    """Chance of rank 1 is one over the gallery, with the binomial's middle 95 % over the probes."""
    row = rate_row(found, Resample(people, 20))
    n = int(found.enrolled.sum())
    assert row["chance"] == 1 / 11
    assert row["chance_low"] == binom.ppf(0.025, n, 1 / 11) / n
    assert row["chance_high"] == binom.ppf(0.975, n, 1 / 11) / n
    assert row["tpir_at_fpir_1e-2_chance"] == pytest.approx(0.01 / 11)
    assert row["d_sys_chance_low"] <= row["d_sys_chance"] <= row["d_sys_chance_high"]


def test_d_sys_stands_in_the_middle_of_its_interval(people, found):
    """Where nothing links, resampled noise does not push the interval off the value."""
    rng = np.random.default_rng(1)
    found.mated[:] = found.non_mated[:] = 0
    found.mated[:10, 900:1300] = rng.random((10, 400)) < 0.1
    found.non_mated[:10, 900:1300] = rng.integers(0, 9, (10, 400))
    row = rate_row(found, Resample(people, N_REPLICATES))
    low, high = row["d_sys"] - row["d_sys_low"], row["d_sys_high"] - row["d_sys"]
    assert 0 < low < 2 * high
    assert 0 < high < 2 * low
    assert 0 <= row["d_sys_low"] < row["d_sys_high"] <= 1


def test_an_undefined_row_has_the_same_keys(people, found):
    """A condition without a map has every number of the others, all None, and a reason."""
    key = Condition("a", "b", "mapped", 2).key
    row = {**key, **rate_row(found, Resample(people, 20)), **Fits().row}
    absent = PAIRS.undefined("too few", **key)
    assert set(row) == set(absent) == set(PAIRS.columns)
    assert {name: absent.pop(name) for name in key} == key
    assert absent.pop("reason") == "too few"
    assert set(absent.values()) == {None}


def test_ranks_beyond_the_gallery_are_not_shown(found):
    """The CMC ends at the last shown rank that the gallery has."""
    rows = cmc_rows(found)
    assert [row["rank"] for row in rows] == list(range(1, 11))
    rates = [row["rate"] for row in rows]
    assert rates == sorted(rates)
    assert [row["chance"] for row in rows] == pytest.approx([rank / 11 for rank in range(1, 11)])


def condition(known, rank1, low, *, source="a", kind="mapped"):
    """Return a row of the main table, as far as the answer needs it."""
    return {
        "source": source,
        "target": "b",
        "condition": kind,
        "known_pairs": known,
        "rank1": rank1,
        "rank1_low": low,
        "chance_high": 0.02,
    }


def test_the_answer_is_the_fewest_known_pairs():
    """The first rung above chance and the first at half of native are named, or why there is none."""
    native = condition(0, 0.8, 0.7, source="b", kind="native")
    rungs = [
        condition(0, 0.01, 0.0, kind="unmapped"),
        condition(10, None, None),
        condition(20, 0.05, 0.03),
        condition(50, 0.4, 0.35),
    ]
    (row,) = linkable_rows([native, *rungs])
    assert (row["above_chance_from"], row["half_of_native_from"], row["reason"]) == (20, 50, None)
    (row,) = linkable_rows(rungs)
    assert row["half_of_native_from"] is None
    assert "does not hold the target's own space" in row["reason"]
    (row,) = linkable_rows([native, *rungs[:2]])
    assert row["above_chance_from"] is None
    assert row["reason"] == "never above chance; never half of the target's own rank 1"
