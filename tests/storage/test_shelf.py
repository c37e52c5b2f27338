import pytest

from intertwine.storage.shelf import keep, kept


def test_what_is_kept_is_found(tmp_path):
    """A value comes back as it was, and where nothing was kept there is none."""
    assert kept(tmp_path / "a.json") is None
    keep(tmp_path / "a.json", {"x": [1, 2.5, None]})
    assert kept(tmp_path / "a.json") == {"x": [1, 2.5, None]}


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-4], lambda text: text.replace("2.5", "2.6"), lambda _: "[]"],
    ids=["cut", "altered", "another"],
)
def test_what_is_not_whole_counts_as_none(tmp_path, damage):
    """A file that is cut, altered or of another kind is as good as absent."""
    path = tmp_path / "a.json"
    keep(path, {"x": [1, 2.5, None]})
    path.write_text(damage(path.read_text()))
    assert kept(path) is None
