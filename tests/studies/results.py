"""Results of every study, and whether one is saved as its command writes it."""

import json
from dataclasses import fields

import numpy as np
import pytest
from tests.studies.closed_set.closed_set_result import build_report
from tests.studies.linkage.linkage_sets import write_sets
from tests.studies.open_set.open_set_result import build_open_set
from tests.studies.plan.plan_result import build_plan
from tests.studies.similarity.similarity_result import build_result

from intertwine.estimators import FitOptions
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.studies.closed_set import ClosedSetResult
from intertwine.studies.linkage import linkage
from intertwine.studies.open_set import OpenSetResult
from intertwine.studies.plan import PlanResult
from intertwine.studies.plan.tables import TABLES
from intertwine.studies.similarity import SimilarityResult

STUDIES = ("closed-set", "open-set", "similarity", "linkage", "plan")


@pytest.fixture(scope="session")
def results(tmp_path_factory, write_folder):
    """Return a result of each study."""
    gallery, probe = write_sets(tmp_path_factory.mktemp("sets"), write_folder)
    options = FitOptions(method="cca")
    sets = FeatureSet.open(gallery), FeatureSet.open(probe)
    made = (
        _of_fields(ClosedSetResult, build_report(3)),
        _of_fields(OpenSetResult, build_open_set(3)),
        _of_fields(SimilarityResult, build_result(3)),
        linkage(*sets, options=options, known=[8, 20], n_replicates=20),
        _plan(build_plan()),
    )
    return {result.study: result for result in made}


def _of_fields(kind, report):
    tables = {each.name for each in fields(kind)} - {"facts"}
    facts = {key: value for key, value in report.items() if key not in {"study", *tables}}
    return kind(facts, **{key: report[key] for key in tables})


def _plan(report):
    tables = {table.name: report[table.name] for table in TABLES if table.name in report}
    return PlanResult({k: v for k, v in report.items() if k not in {"study", *tables}}, tables)


def assert_saved_as(result, folder, other):
    """Check that a result, saved in another folder, is the report that a command wrote, to the byte.

    Map files are compared but for the time at which they were written.
    """
    report = json.loads((folder / "report.json").read_text())
    result.dated(created=report["created"], command=report["command"]).save(other)
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names:
        if name.endswith(".safetensors"):
            one, two = (LinearMap.load(place / name) for place in (folder, other))
            assert np.array_equal(one.weight, two.weight)
            assert np.array_equal(one.bias, two.bias)
            assert one.info | {"created": None} == two.info | {"created": None}
            continue
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
