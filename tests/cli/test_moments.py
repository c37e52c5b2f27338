import pytest

from intertwine.maps.linear_map import LinearMap
from intertwine.moments.accumulators import precisions
from intertwine.moments.moments import Moments


@pytest.mark.slow
def test_parts_merge_and_fit(intertwine, study_folders, tmp_path):
    """Moments of row ranges merge to a file that fit takes in place of the set."""
    folder = study_folders / "fit"
    n = intertwine("moments", folder, "--out", tmp_path / "all", "--json").json()["n"]
    for number, rows in enumerate((f"0:{n // 3}", f"{n // 3}:{n}")):
        done = intertwine("moments", folder, "--out", tmp_path / f"{number}", "--rows", rows)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{tmp_path / str(number)}: ")
    summary = intertwine(
        "merge", tmp_path / "1", tmp_path / "0", "--out", tmp_path / "both", "--json"
    ).json()
    assert (summary["n"], summary["rows"], summary["parts"]) == (n, [[0, n]], 2)
    assert "rows of a, b, c" in intertwine("merge", tmp_path / "0", "--out", tmp_path / "x").out
    maps = []
    for source in ("all", "both"):
        arguments = ["fit", tmp_path / source, "--out", tmp_path / f"{source} maps", "--json"]
        maps.append([LinearMap.load(m["path"]) for m in intertwine(*arguments).json()["maps"]])
    assert len(maps[0]) == 6
    for one, two in zip(*maps, strict=True):
        assert abs(one.weight - two.weight).max() < 1e-9


@pytest.mark.slow
def test_every_option_is_heeded(intertwine, study_folders, tmp_path, monkeypatch):
    """Spaces, precision, error and workers are those asked for."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: ["AMX"])
    arguments = ["moments", study_folders / "fit", "--out", tmp_path / "x", "--space", "c"]
    arguments += ["--space", "a", "--precision", "fast", "--fast-error", 1e-4, "--json"]
    assert list(intertwine(*arguments).json()["spaces"]) == ["c", "a"]
    moments = Moments.load(tmp_path / "x")
    assert (moments.precision, moments.products.fast_error) == ("fast", 1e-4)
    for more in (["--workers", 1], ["--scheduler", "local", "--workers", 1]):
        arguments = ["moments", study_folders / "fit", "--out", tmp_path / "y", *more, "--json"]
        assert intertwine(*arguments).json()["resumed"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "7"], "got --rows '7', expected A:B"),
        (["--rows", "0:99999999"], "expected some of 0:"),
        (["--space", "z"], "no space 'z'"),
        (["--device", "cuda:77"], "got device 'cuda:77'"),
        (["--workers", 2, "--scheduler", "tcp://x:1"], "leave --workers out"),
        (["--precision", "fast", "--fast-error", 0], "got fast error 0.0"),
    ],
    ids=["rows", "too many rows", "space", "device", "both", "error"],
)
def test_what_cannot_be_done_is_one_line(
    intertwine, study_folders, tmp_path, monkeypatch, arguments, message
):
    """A user's error is one line, and nothing is left behind."""
    monkeypatch.setattr(precisions, "matrix_units", lambda: ["AMX"])
    done = intertwine("moments", study_folders / "fit", "--out", tmp_path / "x", *arguments)
    assert message in done.error()
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_says_so(intertwine, study_folders, tmp_path):
    """Rows that an earlier run had done are told of on standard error."""
    folder, out = study_folders / "fit", tmp_path / "x"
    arguments = ["moments", folder, "--out", out, "--checkpoint", 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "intertwine.passes.moments.checkpoint.MomentsCheckpoint.remove", lambda _: None
        )
        n = intertwine(*arguments, "--json").json()["n"]
    assert f"went on after {n} rows of an earlier run" in intertwine(*arguments).err
    assert intertwine("moments", folder, "--out", tmp_path).error().endswith("a file to write")
