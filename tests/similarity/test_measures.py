import json

import pytest

from intertwine.similarity.measures import MEASURES, MOMENT_MEASURES, ROW_MEASURES
from intertwine.similarity.moment_measures import BACK, NAMES


def test_measures_are_named_once_and_are_of_a_kind():
    """Every measure is found by its own name, has a title of its own, and is of one kind."""
    assert all(name == measure.name for name, measure in MEASURES.items())
    assert len({measure.title for measure in MEASURES.values()}) == len(MEASURES)
    assert [*MOMENT_MEASURES, *ROW_MEASURES] == list(MEASURES)
    assert set(MOMENT_MEASURES) == {*NAMES, "r2"} - {BACK}
    assert set(ROW_MEASURES) == {"rbf_cka", "mutual_knn", "cknna", "rsa"}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_states_what_it_is(name):
    """Formula, source, null and what is ignored are told, and the best value is an end."""
    measure = MEASURES[name]
    assert all((measure.ignores, measure.formula, measure.source, measure.null_model))
    assert measure.best in (measure.low, measure.high)
    assert measure.larger_is_more_similar is (name != "procrustes")
    assert measure.symmetric is (name not in {"pwcca", "r2"})


@pytest.mark.parametrize("name", MEASURES)
def test_numbers_are_brought_into_the_range(name):
    """A number beyond an end becomes that end, others stay, and where there is no end so do all."""
    measure = MEASURES[name]
    assert measure.clip(measure.best) == measure.best
    assert measure.clip(0.25) == 0.25
    assert measure.clip(9.0) == measure.high
    assert measure.clip(-9.0) == (-9.0 if measure.low is None else measure.low)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_ready_for_a_report(name):
    """As JSON it has its range as two ends, its direction, and how its interval is made."""
    measure = MEASURES[name]
    value = json.loads(json.dumps(measure.to_json(), allow_nan=False))
    assert value["range"] == [measure.low, measure.high]
    assert value["larger_is_more_similar"] is measure.larger_is_more_similar
    assert ("jackknife" in value["interval"]) == (name in MOMENT_MEASURES)
    assert ("bootstrap" in value["interval"]) == (name in ROW_MEASURES)
    assert not {"low", "high"} & set(value)
