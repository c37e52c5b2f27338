"""The command `migrate`, on files, which need no server."""

import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap


@pytest.fixture
def fitted(intertwine, networks, tmp_path):
    """Return a folder with a feature set `set`, the maps between its spaces, and a store."""
    nets = networks({"a": 256, "b": 256})
    nets.save(tmp_path / "set", 900, 1)
    assert intertwine("fit", tmp_path / "set", "--out", tmp_path).code == 0
    np.save(tmp_path / "items.npy", np.load(tmp_path / "set" / "a.npy"))
    return tmp_path


@pytest.fixture
def line(fitted):
    """Return the arguments of a migration of a file."""
    places = [f"npy:{fitted / name}" for name in ("items.npy", "moved.npy")]
    return ["migrate", *places, "--map", fitted / "a--b.safetensors"]


@pytest.mark.slow
def test_a_file_is_converted_switched_and_rolled_back(intertwine, fitted, line):
    """Each step says what it did; at the end the file is as it was."""
    before = (fitted / "items.npy").read_bytes()
    dry = intertwine(*line, "--dry-run")
    assert "dry run: 900 of 900 items would be written" in dry.err
    assert not (fitted / "moved.npy").exists()
    done = intertwine(*line)
    assert "moved.npy: 900 items, 900 written now" in done.out
    assert "200 of 200 items read back are what the map makes of the old ones" in done.out
    assert "neighbours kept: " in done.out
    expected = LinearMap.load(fitted / "a--b.safetensors").apply(np.load(fitted / "items.npy"))
    np.testing.assert_allclose(np.load(fitted / "moved.npy"), expected, rtol=1e-5, atol=1e-5)
    assert "items.npy stands for the new vectors; --rollback" in intertwine(*line, "--switch").out
    np.testing.assert_allclose(np.load(fitted / "items.npy"), expected, rtol=1e-5, atol=1e-5)
    assert "stands for the old vectors again" in intertwine(*line, "--rollback").out
    assert (fitted / "items.npy").read_bytes() == before


def test_json_is_one_object(intertwine, line):
    """With --json the summary is one object on standard output, with counts and checks."""
    result = intertwine(*line, "--json").json()
    assert (result["rows"], result["written"], result["switched"]) == (900, 900, False)
    assert result["checks"]["read_back"] == 200
    assert result["checks"]["neighbours_kept"] > result["checks"]["chance"]
    assert result["forecast"] is None
    assert set(result["seconds"]) == {"convert", "check"}


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("nothing", "npy:o.npy"), "got a store without a scheme or a place"),
        (("milvus:x#y", "npy:o.npy"), "got a store of kind 'milvus', expected one of pgvector"),
        (("npy:none.npy", "npy:o.npy"), "no such files"),
        (("pgvector://h/d?table", "npy:o.npy"), "whose options are not NAME=VALUE"),
        (
            ("pgvector://me:s3cret@h:x/d?table=t&column=c", "npy:o.npy"),
            "host or port cannot be read",
        ),
        (("pgvector://me:s3cret@127.0.0.1:1/d?table=t&column=c", "npy:o"), "PostgreSQL: "),
    ],
)
def test_what_cannot_be_opened_is_one_line(intertwine, line, places, message):
    """A wrong address ends in exit code 1 and one line that shows no password."""
    error = intertwine("migrate", *places, *line[3:]).error()
    assert message in error
    assert "s3cret" not in error


def test_a_map_the_other_way_is_refused(intertwine, fitted, line):
    """Vectors that do not look like the map's source are refused before anything is written."""
    error = intertwine(*line[:3], "--map", fitted / "b--a.safetensors").error()
    assert "does not look like features of b" in error
    assert not (fitted / "moved.npy").exists()


def test_a_target_of_somebody_elses_is_refused(intertwine, fitted, line):
    """A file that stands at the target's place is left alone."""
    np.save(fitted / "moved.npy", np.zeros((3, 2)))
    assert "exists already and was not made by a migration" in intertwine(*line).error()
    assert np.load(fitted / "moved.npy").shape == (3, 2)


@pytest.mark.parametrize(
    "options", [["--rate", "0"], ["--batch-size", "0"], ["--rollback", "--switch"]]
)
def test_options_that_make_no_sense(intertwine, line, options):
    """They are refused in one line."""
    assert "expected" in intertwine(*line, *options).error()


def test_a_check_of_what_is_switched_already_is_not_passed_over(intertwine, fitted, line):
    """Who asks for a search and gets none reads so first."""
    (fitted / "set" / "ids.txt").write_text("\n".join(map(str, range(900))))
    asked = [*line, "--check", fitted / "set", "--switch", "--json"]
    assert intertwine(*asked).json()["checks"]["found"] > 0.9
    again = intertwine(*asked).json()
    assert "nothing was searched with" in again["notes"][0]


@pytest.mark.parametrize("scheme", ["npy", "parquet"])
def test_a_path_that_an_address_cannot_hold_is_said_to_be_one(intertwine, line, scheme):
    """Not only that it is not there, or holds no such column."""
    source = line[1].replace("items.npy", f"it#1.{scheme}").replace("npy:", f"{scheme}:")
    assert "no path holds" in intertwine("migrate", source, *line[2:]).error()
