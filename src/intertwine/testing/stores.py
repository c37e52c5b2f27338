"""What every store passes: facts, batches, searches, and a migration with its switch and rollback."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from intertwine.errors import InputError, IntertwineError
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.migrate import MigrateOptions, migrate
from intertwine.spaces import Space
from intertwine.stores import open_store, open_target
from intertwine.stores.address import Address
from intertwine.testing.killed import BATCH, CUT_AFTER, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from intertwine.stores import Target
    from intertwine.stores.store import Metric

    Array = npt.NDArray[Any]

# Items of the source, its dimension and that of the target.
N, OLD, NEW = 120, 12, 20


class StoreConformance:
    """Tests of a store and its target; a subclass says how one is made and read.

    Name the subclass `Test…`, in a test module of pytest's, and write `addresses`, `make` and `texts`.
    Each test gets a store of 120 items of 12 numbers, of length 1, and maps them to 20.

    Attributes
    ----------
    ids
        Ids of the items, in the order in which the store's batches yield them: 0 to 119 unless a
        subclass names 120 others.
    unknown
        An id that no item has.
    metric
        What the store's searches go by: `cosine`, `ip` or `l2`.
    atol
        Largest error of a number that is read back; the store's type of number may explain more
        than the default, which is that of 32 bits.
    persistent
        Whether a store outlives the process that wrote to it; one that writes is then killed, by SIGKILL.
    modules
        Modules that such a process imports first, such as one that registers the store's scheme.

    Examples
    --------
    >>> from intertwine.testing import StoreConformance
    >>> class TestMyStore(StoreConformance):
    ...     def addresses(self, folder):
    ...         return f"mine:{folder}/items", f"mine:{folder}/new"
    ...
    ...     def make(self, address, ids, vectors, texts): ...
    ...
    ...     def texts(self, address): ...
    """

    ids: ClassVar[Sequence[Any]] = range(N)
    unknown: ClassVar[Any] = 10**6
    metric: ClassVar[Metric] = "cosine"
    atol: ClassVar[float] = 1e-5
    persistent: ClassVar[bool] = True
    modules: ClassVar[Sequence[str]] = ()

    def addresses(self, folder: Path) -> tuple[str, str]:
        """Return the addresses of a source and of a target beside it; neither is there yet.

        Parameters
        ----------
        folder
            A path for files of this store, not made yet; where a store has none, its name tells
            stores apart.
        """
        raise NotImplementedError

    def make(self, address: str, ids: Sequence[Any], vectors: Array, texts: Sequence[str]) -> None:
        """Write items to a new store, as another program would.

        It is called with the source's address first. A test of what is not a migration's calls it with
        the target's then, and vectors of 20 numbers.

        Parameters
        ----------
        address
            One of `addresses`.
        ids
            Of the items.
        vectors
            (n, d), float32.
        texts
            The payload, one text an item.
        """
        raise NotImplementedError

    def texts(self, address: str) -> list[str] | None:
        """Return the payload of all items of a store, in the order of `ids`.

        None for a store that holds vectors only.

        Parameters
        ----------
        address
            One of `addresses`.
        """
        raise NotImplementedError

    @pytest.fixture
    def fitted(self, tmp_path: Path) -> tuple[LinearMap, Path]:
        """Return a map that keeps neighbours, and its file."""
        return _saved_map(tmp_path / "map", "drawn", seed=1)

    @pytest.fixture
    def place(self, tmp_path: Path) -> tuple[str, str]:
        """Return the addresses of a source with items and of a target that is not there."""
        source, target = self.addresses(tmp_path / "store")
        self.make(source, self.ids, _drawn(OLD), [f"text {i}" for i in range(N)])
        return source, target

    def _vectors(self, address: str) -> Array:
        """Return the vectors of a store, which must hold each item once, in the order of `ids`."""
        with closing(open_store(address)) as store:
            batches = list(store.batches(7))
        rows = {str(item): row for row, item in enumerate(self.ids)}
        order = [rows[str(item)] for batch in batches for item in batch.ids]
        assert sorted(order) == list(range(N))
        return np.concatenate([batch.vectors for batch in batches])[np.argsort(order)]

    def _require_unchanged(self, address: str, vectors: Array) -> None:
        np.testing.assert_array_equal(self._vectors(address), vectors)
        assert self.texts(address) in (None, [f"text {i}" for i in range(N)])

    def _require_mapped(self, address: str, linear_map: LinearMap) -> None:
        expected = linear_map.apply(_drawn(OLD))
        np.testing.assert_allclose(self._vectors(address), expected, atol=self.atol)
        assert self.texts(address) in (None, [f"text {i}" for i in range(N)])

    def test_facts(self, place: tuple[str, str]) -> None:
        """A store knows its items' number, dimension and metric, and that no migration made it."""
        with closing(open_store(place[0])) as store:
            assert (store.count(), store.dim, store.metric) == (N, OLD, self.metric)
            assert store.mark() is None
            assert store.address == Address.parse(place[0])
            assert store.name.startswith(f"{store.address.scheme}:")

    @pytest.mark.parametrize("size", [1, 50, 2 * N])
    def test_batches(self, place: tuple[str, str], size: int) -> None:
        """Batches of any size yield every item once, in one order, from any item on."""
        with closing(open_store(place[0])) as store:
            batches = list(store.batches(size))
            found = [item for batch in batches for item in batch.ids]
            assert list(map(str, found)) == list(map(str, self.ids))
            assert max(len(batch.ids) for batch in batches) <= size
            vectors = np.concatenate([batch.vectors for batch in batches])
            np.testing.assert_allclose(vectors, _drawn(OLD), atol=self.atol)
            for start in (0, N // 2, N - 1):
                later = [i for batch in store.batches(size, found[start]) for i in batch.ids]
                assert later == found[start + 1 :]

    def test_read_back(self, place: tuple[str, str]) -> None:
        """Vectors come in the order in which they are asked for, NaN for an item that is not there."""
        with closing(open_store(place[0])) as store:
            asked = [self.ids[7], self.unknown, self.ids[N - 1], self.ids[7]]
            found = store.read(asked)
            np.testing.assert_allclose(found[[0, 2, 3]], _drawn(OLD)[[7, N - 1, 7]], atol=self.atol)
            assert np.isnan(found[1]).all()

    def test_sample(self, place: tuple[str, str]) -> None:
        """A sample is of as many items as asked for, the same each time, and of all where that is more."""
        with closing(open_store(place[0])) as store:
            sample, again = store.sample(30), store.sample(30)
            assert list(sample.ids) == list(again.ids)
            assert len(set(sample.ids)) == 30
            np.testing.assert_array_equal(store.read(sample.ids), sample.vectors)
            assert len(set(store.sample(2 * N).ids)) == N

    def test_search(self, place: tuple[str, str]) -> None:
        """A search finds the items that NumPy finds by the store's metric, best first."""
        queries = np.random.default_rng(9).standard_normal((6, OLD)).astype(np.float32)
        with closing(open_store(place[0])) as store:
            found = store.search(queries, 5)
        expected = _nearest(_drawn(OLD), queries, 5, self.metric)
        assert [list(map(str, each)) for each in found] == [
            [str(self.ids[row]) for row in each] for each in expected
        ]

    def test_a_dry_run_writes_nothing(
        self, place: tuple[str, str], fitted: tuple[LinearMap, Path]
    ) -> None:
        """A dry run maps every item, and neither makes a target nor changes the source."""
        before = self._vectors(place[0])
        summary = _migrate(place, fitted[1], dry_run=True)
        assert (summary["written"], summary["switched"]) == (0, False)
        with _opened(place, fitted) as target:
            assert not target.exists()
        self._require_unchanged(place[0], before)

    def test_every_item_is_brought_over(
        self, place: tuple[str, str], fitted: tuple[LinearMap, Path]
    ) -> None:
        """A migration maps every item with its payload, once, and leaves the source as it is."""
        before = self._vectors(place[0])
        summary = _migrate(place, fitted[1])
        assert (summary["written"], summary["rows"], summary["switched"]) == (N, N, False)
        assert summary["checks"]["neighbours_kept"] > 0.9
        self._require_mapped(place[1], fitted[0])
        self._require_unchanged(place[0], before)
        with closing(open_store(place[1])) as made:
            assert (made.count(), made.dim) == (N, NEW)
            assert made.mark() == record_of(*fitted)
        assert _migrate(place, fitted[1])["written"] == 0

    def test_goes_on_after_a_kill(
        self, place: tuple[str, str], fitted: tuple[LinearMap, Path]
    ) -> None:
        """Killed while it writes, and interrupted, a migration goes on and ends with every item once."""
        if self.persistent:
            _run_killed(*place, fitted[1], self.modules)
        with pytest.raises(KeyboardInterrupt):
            _migrate(place, fitted[1], progress=_interrupting())
        assert _migrate(place, fitted[1])["written"] < N
        self._require_mapped(place[1], fitted[0])

    def test_switch_and_roll_back(
        self, place: tuple[str, str], fitted: tuple[LinearMap, Path]
    ) -> None:
        """After a switch the source's address reads the new vectors, after a rollback the old ones."""
        before = self._vectors(place[0])
        for written in (N, 0):
            summary = _migrate(place, fitted[1], switch=True)
            assert (summary["written"], summary["switched"]) == (written, True)
            self._require_mapped(place[0], fitted[0])
        with _opened(place, fitted) as target:
            assert target.switched()
            assert target.missing() == 0
            with pytest.raises(InputError) as refused:
                target.drop()
            _require_one_line(refused)
        assert not _migrate(place, fitted[1], rollback=True)["switched"]
        self._require_unchanged(place[0], before)
        with pytest.raises(InputError) as refused:
            _migrate(place, fitted[1], rollback=True)
        _require_one_line(refused)
        again = _migrate(place, fitted[1], switch=True)
        assert (again["written"], again["switched"]) == (0, True)
        self._require_mapped(place[0], fitted[0])

    def test_leaves_what_another_program_made(
        self, place: tuple[str, str], fitted: tuple[LinearMap, Path]
    ) -> None:
        """What stands at the target's address and is no migration's is refused and stays."""
        before, native = self._vectors(place[0]), _drawn(NEW, seed=3)
        self.make(place[1], self.ids, native, [f"text {i}" for i in range(N)])
        there = self._vectors(place[1])
        for switch in (False, True):
            with pytest.raises(InputError, match="not made by") as refused:
                _migrate(place, fitted[1], switch=switch)
            _require_one_line(refused)
        with _opened(place, fitted) as target, pytest.raises(InputError, match="not made by"):
            target.drop()
        self._require_unchanged(place[1], there)
        self._require_unchanged(place[0], before)

    def test_leaves_what_another_map_made(
        self, place: tuple[str, str], tmp_path: Path, fitted: tuple[LinearMap, Path]
    ) -> None:
        """Vectors of two maps are never mixed: the second map is refused, and nothing changes."""
        _migrate(place, fitted[1])
        there = self._vectors(place[1])
        other = _saved_map(tmp_path / "other", "other", seed=2)
        with pytest.raises(InputError, match="another map") as refused:
            _migrate(place, other[1])
        _require_one_line(refused)
        with _opened(place, other) as target, pytest.raises(InputError, match="another map"):
            target.drop()
        self._require_unchanged(place[1], there)

    def test_drop(self, place: tuple[str, str], fitted: tuple[LinearMap, Path]) -> None:
        """Removing a target leaves the source alone, and a migration starts again."""
        before = self._vectors(place[0])
        _migrate(place, fitted[1])
        with _opened(place, fitted) as target:
            target.drop()
            assert not target.exists()
        self._require_unchanged(place[0], before)
        assert _migrate(place, fitted[1])["written"] == N

    def test_refuses_wrong_addresses(self, place: tuple[str, str], tmp_path: Path) -> None:
        """A store that is not there, and an option that is none, are refused in one line."""
        address = Address.parse(place[0])
        options = "&".join([*(f"{k}={v}" for k, v in address.options.items()), "nonsense=1"])
        part = f"#{address.part}" if address.part else ""
        for text in (
            self.addresses(tmp_path / "absent")[0],
            f"{address.scheme}:{address.place}?{options}{part}",
        ):
            with pytest.raises(IntertwineError) as refused:
                open_store(text)
            _require_one_line(refused)

    def test_refuses_wrong_targets(
        self, place: tuple[str, str], tmp_path: Path, fitted: tuple[LinearMap, Path]
    ) -> None:
        """The source itself, and a store of another kind, are refused as a target in one line."""
        scheme = Address.parse(place[0]).scheme
        other = f"npy:{tmp_path / 'x.npy'}" if scheme != "npy" else f"faiss:{tmp_path / 'x.index'}"
        before = self._vectors(place[0])
        with closing(open_store(place[0])) as store:
            for text in (place[0], other):
                with pytest.raises(InputError) as refused:
                    open_target(store, text, record_of(*fitted))
                _require_one_line(refused)
        self._require_unchanged(place[0], before)


def _drawn(dim: int, seed: int = 0) -> Array:
    """Return drawn vectors of length 1, (N, dim), float32."""
    rows = np.random.default_rng(seed).standard_normal((N, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _saved_map(folder: Path, name: str, *, seed: int) -> tuple[LinearMap, Path]:
    """Return a map with orthonormal columns, which keeps lengths and neighbours, and its file."""
    columns = np.linalg.qr(np.random.default_rng(seed).standard_normal((NEW, OLD)))[0]
    linear_map = LinearMap(columns, np.zeros(NEW), Space("old", OLD), Space("new", NEW), name)
    path = folder / "old--new.safetensors"
    folder.mkdir(exist_ok=True)
    linear_map.save(path)
    return linear_map, path


@contextmanager
def _opened(place: tuple[str, str], fitted: tuple[LinearMap, Path]) -> Iterator[Target]:
    """Open a target, and its source."""
    with (
        closing(open_store(place[0])) as store,
        closing(open_target(store, place[1], record_of(*fitted))) as target,
    ):
        yield target


def _migrate(
    place: tuple[str, str],
    map_file: Path,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    chosen = MigrateOptions(batch_size=BATCH, **options)
    return migrate(*place, map_file, options=chosen, progress=progress)


def _nearest(vectors: Array, queries: Array, k: int, metric: Metric) -> list[list[int]]:
    """Return the rows nearest to each query, best first, by NumPy alone."""
    rows, asked = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        far = np.linalg.norm(asked[:, np.newaxis] - rows, axis=2)
    else:
        lengths = np.linalg.norm(rows, axis=1) if metric == "cosine" else 1.0
        far = -(asked @ rows.T) / lengths
    nearest: list[list[int]] = np.argsort(far, axis=1, kind="stable")[:, :k].tolist()
    return nearest


def _require_one_line(refused: pytest.ExceptionInfo[IntertwineError]) -> None:
    text = str(refused.value)
    assert text
    assert text.isprintable()


def _interrupting() -> Callable[[str, int, int], None]:
    """Return a function for progress that raises after some batches."""
    batches = []

    def progress(what: str, done: int, total: int) -> None:
        del total
        if what == "migrating":
            batches.append(done)
        if len(batches) == CUT_AFTER:
            raise KeyboardInterrupt

    return progress


def _run_killed(source: str, target: str, map_file: Path, modules: Sequence[str]) -> None:
    """Write some batches in a process of its own, which is killed while it writes another."""
    script = "intertwine.testing.killed"
    line = [sys.executable, "-m", script, source, target, str(map_file), *modules]
    done = subprocess.run(line, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    assert done.returncode == -signal.SIGKILL, done.stderr
