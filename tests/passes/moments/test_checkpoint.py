import numpy as np
import pytest

from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.passes.moments.checkpoint import GRID_ROWS, Checkpoint


@pytest.fixture
def moments():
    """Return moments at a row of the grid where they may be kept."""
    moments = Moments({"a": 2})
    moments.update({"a": np.random.default_rng(0).standard_normal((GRID_ROWS, 2))})
    return moments


def names(folder):
    """Return the names of the files in a folder."""
    return sorted(file.name for file in folder.iterdir())


def test_what_is_kept_is_found_again(tmp_path, moments):
    """The same facts find what was kept, bit for bit; removed, it is gone."""
    checkpoint = Checkpoint(tmp_path / "out", ["facts"], every=0)
    assert checkpoint.load() is None
    checkpoint.keep(moments)
    found = Checkpoint(tmp_path / "out", ["facts"]).load()
    assert (found.n, found.next_row) == (GRID_ROWS, GRID_ROWS)
    assert found.scatter("a", "a").tobytes() == moments.scatter("a", "a").tobytes()
    checkpoint.remove()
    assert names(tmp_path) == []


def test_moments_are_kept_at_rows_of_the_grid_and_now_and_then(tmp_path, moments):
    """Between rows of the grid, and before the time has come, nothing is written."""
    Checkpoint(tmp_path / "a", [], every=3600).keep(moments)
    moments.update({"a": np.ones((BLOCK_ROWS, 2))})
    Checkpoint(tmp_path / "b", [], every=0).keep(moments)
    assert names(tmp_path) == []
    Checkpoint(tmp_path / "b", [], every=0).keep(moments, whole=True)
    assert len(names(tmp_path)) == 1


def test_another_run_removes_what_was_kept_for_its_output_alone(tmp_path, moments):
    """Other facts let go of a file and of parts of the same output, not of one named longer."""
    for name in ("a", "a.b"):
        checkpoint = Checkpoint(tmp_path / name, ["old"], every=0)
        checkpoint.keep(moments)
        checkpoint.parts.mkdir()
        (checkpoint.parts / "part-0.safetensors").touch()
    assert len(names(tmp_path)) == 4
    Checkpoint(tmp_path / "a", ["new"])
    left = Checkpoint(tmp_path / "a.b", ["old"])
    assert names(tmp_path) == sorted([left.path.name, left.parts.name])
