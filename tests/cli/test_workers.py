"""Commands whose work processes share."""

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["closed-set", "--fit", "fit", "--eval", "eval", "--curve-points", "2"],
        ["similarity", "fit", "--sample", "200"],
    ],
    ids=["closed-set", "similarity"],
)
@pytest.mark.usefixtures("undrawn")
def test_studies_over_workers_are_the_same_studies(intertwine, study_folders, tmp_path, arguments):
    """A study whose moments processes took has the numbers of one process."""
    command = [str(study_folders / a) if a in {"fit", "eval"} else a for a in arguments]
    alone = intertwine(*command, "--out", tmp_path / "alone", "--json").json()
    shared = intertwine(*command, "--out", tmp_path / "shared", "--workers", 1, "--json").json()
    numbers = {
        "closed-set": ["accuracy", "top5", "agreement", "r2"],
        "similarity": ["cka", "cca_mean", "r2"],
    }[arguments[0]]
    for one, two in zip(alone["pairs"], shared["pairs"], strict=True):
        for name in numbers:
            assert one[name] == two[name] or abs(one[name] - two[name]) < 1e-6


@pytest.mark.slow
def test_fit_over_workers_writes_the_same_maps(intertwine, study_folders, tmp_path):
    """Maps from moments that one or two processes took are the same weights."""
    for count in (1, 2):
        done = intertwine(
            "fit", study_folders / "fit", "--out", tmp_path / str(count), "--workers", count
        )
        assert done.code == 0
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    assert len(names) == 6
    assert names == sorted(file.name for file in (tmp_path / "2").iterdir())
