import numpy as np
import pytest

from intertwine.moments.accumulators.grid import BLOCK_ROWS
from intertwine.moments.moments import Moments
from intertwine.passes.moments.checkpoint import GRID_ROWS, MomentsCheckpoint


@pytest.fixture
def moments():
    """Return moments at a row of the grid where they may be saved."""
    moments = Moments({"a": 2})
    moments.update({"a": np.random.default_rng(0).standard_normal((GRID_ROWS, 2))})
    return moments


def names(folder):
    """Return the names of the files in a folder."""
    return sorted(file.name for file in folder.iterdir())


def test_what_is_saved_is_found_again(tmp_path, moments):
    """The same facts find what was saved, bit for bit; removed, it is gone."""
    checkpoint = MomentsCheckpoint(tmp_path / "out", ["facts"], every=0)
    assert checkpoint.load() is None
    checkpoint.save(moments)
    found = MomentsCheckpoint(tmp_path / "out", ["facts"]).load()
    assert (found.n, found.next_row) == (GRID_ROWS, GRID_ROWS)
    assert found.scatter("a", "a").tobytes() == moments.scatter("a", "a").tobytes()
    checkpoint.remove()
    assert names(tmp_path) == []


def test_moments_are_saved_at_rows_of_the_grid_and_now_and_then(tmp_path, moments):
    """Between rows of the grid, and before the time has come, nothing is written."""
    MomentsCheckpoint(tmp_path / "a", [], every=3600).save(moments)
    moments.update({"a": np.ones((BLOCK_ROWS, 2))})
    MomentsCheckpoint(tmp_path / "b", [], every=0).save(moments)
    assert names(tmp_path) == []
    MomentsCheckpoint(tmp_path / "b", [], every=0).save(moments, whole=True)
    assert len(names(tmp_path)) == 1


def test_another_run_removes_what_was_saved_for_its_output_alone(tmp_path, moments):
    """Other facts remove the moments and parts of the same output, not of one named longer."""
    for name in ("a", "a.b"):
        checkpoint = MomentsCheckpoint(tmp_path / name, ["old"], every=0)
        checkpoint.save(moments)
        checkpoint.parts.path("0").touch()
    MomentsCheckpoint(tmp_path / "a", ["new"])
    left = MomentsCheckpoint(tmp_path / "a.b", ["old"]).parts.folder
    assert [len(names(folder)) for folder in sorted(tmp_path.iterdir())] == [2, 0]
    assert left == min(tmp_path.iterdir())


def test_what_an_earlier_version_left_is_removed(tmp_path):
    """A file and a folder beside the output, with a key in their names, go; other names stay."""
    (tmp_path / ".a.0123456789abcdef.partial").touch()
    (tmp_path / ".a.0123456789abcdef.parts").mkdir()
    (tmp_path / ".a.0123456789abcdef.parts" / "part-1.safetensors").touch()
    (tmp_path / ".a.b.0123456789abcdef.partial").touch()
    MomentsCheckpoint(tmp_path / "a", ["new"])
    assert names(tmp_path) == [".a.b.0123456789abcdef.partial"]
