"""Maps applied from and to every format, on devices and over workers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.helpers import covering
from tests.kills import commands, contents, numbers_of_kills
from tests.vectors_data import load_table, load_vectors, save_vectors

from intertwine.errors import InputError
from intertwine.maps import linear_map as module
from intertwine.maps.linear_map import LinearMap
from intertwine.parallel.workers import Workers, open_workers
from intertwine.passes.apply import apply_file
from intertwine.spaces import Space
from intertwine.vectors import FORMATS

RNG = np.random.default_rng(0)
N = 3000


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map and its file."""
    weight, bias = RNG.standard_normal((7, 12)), RNG.standard_normal(7)
    linear_map = LinearMap(weight, bias, Space("a", 12), Space("b", 7), "test")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


@pytest.mark.parametrize(
    ("source", "output", "dtype"), covering(FORMATS, FORMATS, ["float16", "float32", "float64"])
)
def test_any_format_to_any_other(tmp_path, fitted, source, output, dtype):
    """What comes out is what the map makes of the rows; other columns travel, or are said lost."""
    rows = RNG.standard_normal((N, 12)).astype(dtype)
    given = save_vectors(tmp_path / f"in{source}", rows, group=700)
    out = tmp_path / f"out{output}"
    notes = apply_file(fitted[1], given, out, force=True)["notes"]
    expected = fitted[0].apply(rows, out=np.empty((N, 7), dtype))
    np.testing.assert_allclose(load_vectors(out), expected, rtol=1e-2, atol=1e-5)
    tables = [ending in FORMATS[2:] for ending in (source, output)]
    if all(tables):
        assert load_table(out).column("id").to_pylist() == [f"r{i}" for i in range(N)]
    assert any("left out columns id, note" in note for note in notes) == (tables == [True, False])
    assert sorted(file.name for file in tmp_path.iterdir()) == [given.name, out.name]


@pytest.mark.quick(".npy")
@pytest.mark.parametrize("source", [".npy", ".parquet"])
def test_workers_write_the_same_bytes(tmp_path, fitted, source):
    """Threads and processes that share the chunks write what one process writes."""
    given = save_vectors(tmp_path / f"in{source}", RNG.standard_normal((N, 12)))
    apply_file(fitted[1], given, tmp_path / "one.npy")
    seen = []
    with ThreadPoolExecutor(2) as executor:
        workers = Workers(executor)
        apply_file(
            fitted[1],
            given,
            tmp_path / "two.npy",
            workers=workers,
            progress=lambda *step: seen.append(step),
        )
    with open_workers(2, None) as workers:
        apply_file(fitted[1], given, tmp_path / "three.npy", workers=workers)
    assert seen[-1] == (N, N)
    whole = (tmp_path / "one.npy").read_bytes()
    assert (tmp_path / "two.npy").read_bytes() == whole == (tmp_path / "three.npy").read_bytes()


@pytest.mark.slow
def test_a_bad_row_on_a_worker_is_named_here(tmp_path, fitted):
    """What is wrong with a row is said in one line, wherever it was met, and nothing is left."""
    rows = RNG.standard_normal((N, 12))
    rows[2500, 3] = np.nan
    given = save_vectors(tmp_path / "in.npy", rows)
    with open_workers(1, None) as workers, pytest.raises(InputError, match="in rows 2500;"):
        apply_file(fitted[1], given, tmp_path / "out.npy", workers=workers, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["in.npy"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_device_gives_the_same_numbers(tmp_path, fitted, monkeypatch, dtype):
    """Products of tensors, as a GPU takes them, are those of NumPy."""
    import torch

    asked = []

    def to_device(array, device):
        asked.append(device)
        return torch.from_numpy(array)

    monkeypatch.setattr(module, "to_device", to_device)
    rows = RNG.standard_normal((N, 12)).astype(dtype)
    given = save_vectors(tmp_path / "in.npy", rows)
    apply_file(fitted[1], given, tmp_path / "out.npy", device="cuda:1")
    assert set(asked) == {"cuda:1"}
    expected = fitted[0].apply(rows, out=np.empty((N, 7), dtype))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-2, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("number", numbers_of_kills(25))
def test_byte_identical_after_kills(tmp_path, fitted, number):
    """However often it is killed, an output is that of a run without a kill, in two formats."""
    rows = RNG.standard_normal((400_000, 12)).astype(np.float32)
    given = save_vectors(tmp_path / "in.npy", rows)
    chance, kills = np.random.default_rng(1), 0
    with commands(
        "intertwine.passes.apply", "pyarrow.parquet", "intertwine.parallel.workers"
    ) as server:
        for ending in (".npy", ".parquet"):
            whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
            (whole.mkdir(), out.mkdir())
            options = ["apply", fitted[1], given]
            seconds = server.run(*options, whole / f"x{ending}")
            before = kills
            while kills < before + number:
                kills += server.run_with_kills(
                    *options,
                    out / f"x{ending}",
                    seconds=seconds,
                    chance=chance,
                    most=min(8, number),
                )
                assert contents(out) == contents(whole)
                (out / f"x{ending}").unlink()
    assert kills >= 2 * number
