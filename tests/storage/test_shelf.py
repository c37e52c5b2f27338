import numpy as np
import pytest

from intertwine.storage.files import read_header
from intertwine.storage.shelf import Checkpoints, run_key

VALUE = {"x": [1, 2.5, None]}
TENSORS = {"0": np.arange(3.0)}


@pytest.fixture
def saved(tmp_path):
    """Return the checkpoints of a run, in a folder that does not exist yet."""
    return Checkpoints(tmp_path / "saved", run_key(["facts"]))


def tensors_of(saved, name):
    """Return the tensors and the header of an entry."""
    return saved.get_tensors(name, lambda tensors, header: (tensors, header["maps"]))


def test_what_is_saved_is_found(saved):
    """A value and tensors come back as they were, and where nothing was saved there is None."""
    assert saved.get("a") is None
    assert tensors_of(saved, "a") is None
    saved.save("a", VALUE)
    saved.save_tensors("a", TENSORS, {"maps": [1]})
    assert saved.get("a") == VALUE
    tensors, maps = tensors_of(saved, "a")
    assert tensors["0"].tolist() == TENSORS["0"].tolist()
    assert maps == [1]
    assert saved.load("a", read_header)["maps"] == [1]
    assert list(saved.files()) == [saved.path("a")]


def test_another_stage_or_run_finds_nothing(saved):
    """Stages and keys share a folder and find nothing of each other."""
    saved.save("a", VALUE)
    assert saved.at("ranks").get("a") is None
    assert Checkpoints(saved.folder, run_key(["other"])).get("a") is None


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-4], lambda b: b.replace(b"2.5", b"2.6"), lambda _: b"[]", lambda _: b"{}"],
    ids=["cut", "altered", "list", "no value"],
)
def test_a_damaged_value_counts_as_none(saved, damage):
    """A file that is cut, altered or of another kind is as good as absent, and written again."""
    saved.save("a", VALUE)
    (path,) = saved.folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert saved.get("a") is None
    saved.save("a", VALUE)
    assert saved.get("a") == VALUE


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-9], lambda b: b[:-9] + b"x" * 9, lambda _: b""],
    ids=["cut", "altered", "empty"],
)
def test_damaged_tensors_count_as_none(saved, damage):
    """A file of tensors that is cut, altered or empty is as good as absent."""
    saved.save_tensors("a", TENSORS, {"maps": []})
    (path,) = saved.folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert tensors_of(saved, "a") is None


def test_a_value_of_another_form_counts_as_none(saved):
    """What cannot be parsed into what is asked for is as good as absent."""
    saved.save("a", VALUE)
    assert saved.get("a", lambda value: value["y"]) is None


def test_clearing_removes_what_other_runs_left_alone(saved):
    """Entries of other keys go, of whatever stage; this run's, and files of others, stay."""
    saved.save("a", VALUE)
    other = Checkpoints(saved.folder, run_key(["other"]), "ranks")
    other.save("a", VALUE)
    other.save_tensors("b", TENSORS, {})
    (saved.folder / "ids-of-mine.json").touch()
    saved.clear()
    names = {file.name for file in saved.folder.iterdir()}
    assert names == {saved.path("a", ".json").name, "ids-of-mine.json"}


def test_long_names_are_told_apart(saved):
    """Names too long for a file are shortened, and still find their own values."""
    for end in "xy":
        saved.save("a" * 250 + end, end)
    assert [saved.get("a" * 250 + end) for end in "xy"] == ["x", "y"]


def test_a_key_tells_facts_and_arrays_apart():
    """Other facts or numbers have another key; the same have the same."""
    rows = np.arange(4.0)
    keys = [run_key(["a"]), run_key(["b"]), run_key(["a"], rows), run_key(["a"], -rows)]
    assert len({*keys, run_key(["a"], rows.copy())}) == 4
