"""The pass that writes map files with held-out scores: joint moments, then source by source."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from itertools import count, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine._moved import renamed
from intertwine.errors import Doubt, InputError, by_weight
from intertwine.estimators import FitOptions, Fitter
from intertwine.estimators.analytic import check_classes
from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.features.fitted_on import NOTHING, fitted_on
from intertwine.maps.linear_map import date_text
from intertwine.maps.map_pair import MapPair
from intertwine.maps.source_check import main_directions
from intertwine.moments.moments import Moments
from intertwine.parallel.threads import parallel_map
from intertwine.passes.held_out import HeldOut, with_scores
from intertwine.passes.moments.file import resumable_moments
from intertwine.storage.files import (
    check_writable,
    read_header,
    remove_folder,
    remove_temporaries,
    require_apart,
    require_outside,
)
from intertwine.storage.locks import one_run
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.wording import counted, named

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Head

# Folder in that of the maps; one of an earlier version kept a file.
FOLDER, EARLIER_FILE = ".fit", ".fit.json"


class FitRecord:
    """Progress of one fit; the record of a different fit is ignored.

    Parameters
    ----------
    folder
        Where the maps go.
    facts
        JSON-ready: what makes this fit this fit.
    """

    def __init__(self, folder: Path, facts: Any) -> None:
        self.folder = folder
        self.saved = Checkpoints(folder / FOLDER, run_key(facts), "map")
        self.saved.clear()
        # Every map of one fit states one date, that of its beginning.
        begun = self.saved.at("begun").get("date", datetime.fromisoformat)
        self.created = begun or datetime.fromisoformat(date_text(None))

    def __contains__(self, name: str) -> bool:
        """Return whether a file is written; what a kill left of it is removed."""
        remove_temporaries(self.folder / name)
        return self.saved.get(name) == self._date and (self.folder / name).exists()

    def add(self, name: str) -> None:
        """Note that a file is written; from any thread."""
        begun = self.saved.at("begun")
        if begun.get("date") is None:
            begun.save("date", self._date)
        self.saved.save(name, self._date)

    def remove(self) -> None:
        """Remove the record of a fit that is done."""
        remove_folder(self.saved.folder)
        (self.folder / EARLIER_FILE).unlink(missing_ok=True)

    @property
    def _date(self) -> str:
        return date_text(self.created)


# Methods that no row has a say in.
_WITHOUT_ROWS = frozenset({"analytic", "identity"})
# So many times more dimensions than rows are more often rows and dimensions mistaken for each other.
TRANSPOSED = 8


@renamed(say="progress")
def fit_to_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    options: FitOptions,
    source: str | None = None,
    target: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **products: Any,
) -> dict[str, Any]:
    """Fit maps, write each as `OUT/SOURCE--TARGET.safetensors`, and return a JSON-ready summary.

    The same call resumes where a killed one stopped, and writes the same bytes. The paths are
    folders of one feature set, or one file of moments; `source` and `target` are one space each, or
    all when omitted; `progress` takes (what, done, total). `products` are those of
    `resumable_moments`.

    The summary has `maps`, one entry a file: source, target, path, method, the map's own `info`,
    its λ `alpha`, the rows `n`, R² of rows held out, `r2`, and its value by chance, `r2_null`;
    `notes` on the rows, and `warnings`, those that come first.
    """
    require_outside(out, *paths)
    check_writable(out)
    with one_run(out):
        return _fit_to_files(paths, Path(out), options, source, target, progress, products)


def _fit_to_files(
    paths: Sequence[str | os.PathLike[str]],
    out: Path,
    options: FitOptions,
    source: str | None,
    target: str | None,
    progress: Callable[[str, int, int], None] | None,
    products: dict[str, Any],
) -> dict[str, Any]:
    report = progress or (lambda *_: None)
    heads: dict[str, Head] = {}
    notes: list[str] = []
    remove_moments: Callable[[], None] = _nothing
    feature_set = None
    if len(paths) == 1 and Path(paths[0]).is_file():
        _refuse_array(Path(paths[0]))
        moments = Moments.load(paths[0])
        device = products.get("device", "cpu")
        moments.products = replace(moments.products, device=device)
        _check_names(list(moments.spaces), source, target)
        _check_heads(list(moments.spaces), heads, options)
        for name, other in permutations(moments.spaces, 2):
            require_apart(out / f"{name}--{other}.safetensors", Path(paths[0]))
        stamps: Any = read_header(paths[0])["sha256"]
    else:
        feature_set = FeatureSet.open(*paths)
        names, heads, notes = list(feature_set.spaces), feature_set.heads, feature_set.notes
        _check_names(names, source, target)
        needed = (
            [name for name in names if name in {source, target}] if source and target else names
        )
        _check_heads(needed, heads, options)
        stamps = file_stamps(feature_set)
        moments, _, remove_moments = resumable_moments(
            feature_set,
            needed,
            out,
            progress=lambda done, total: report("joint moments", done, total),
            **products,
        )
    facts = [stamps, _facts(options, heads), repr(moments.products), source, target]
    record = FitRecord(out, facts)
    marks: Callable[[str], dict[str, Any] | None] = cache(partial(_marks, feature_set, options))
    maps = _write(moments, heads, record, options, source, target, marks, report)
    held = None if feature_set is None else HeldOut.of(feature_set, moments)
    scored, doubts = with_scores(
        maps, moments, held, options, heads, has_rows=feature_set is not None
    )
    remove_moments()
    record.remove()
    return {"maps": scored, **by_weight([*_shape_doubts(feature_set), *doubts, *notes])}


def _refuse_array(path: Path) -> None:
    if path.suffix == ".npy":
        raise InputError(
            f"{path}: is one array, expected a folder of a NAME.npy a space, or a file of moments; "
            "put both arrays in one folder and give that"
        )


def _facts(options: FitOptions, heads: dict[str, Head]) -> list[Any]:
    """Return the options, and the heads that they need, JSON-ready and to the last digit."""
    used = heads if options.needs_heads else {}
    alphas = None if options.alphas is None else options.alphas.tolist()
    return [
        {**vars(options), "alphas": alphas},
        {name: head.fingerprint() for name, head in used.items()},
    ]


def _shape_doubts(feature_set: FeatureSet | None) -> list[str]:
    """Return a doubt where arrays may be transposed and no ids or labels show that they are not."""
    if feature_set is None or feature_set.has_ids or feature_set.labels is not None:
        return []
    dims = {space.dim for space in feature_set.spaces.values()}
    if len(dims) > 1 or feature_set.n * TRANSPOSED > min(dims):
        return []
    (dim,) = dims
    names = ", ".join(f"{name}.npy" for name in feature_set.spaces)
    return [
        Doubt(
            f"{names}: got {counted(feature_set.n, 'row')} of {counted(dim, 'dimension')}; expected (rows, dimensions), so if "
            f"these are {counted(dim, 'row')}, transpose them"
        )
    ]


def _nothing() -> None:
    """Do nothing: there is nothing to remove."""


def _check_names(names: list[str], source: str | None, target: str | None) -> None:
    for role, name in (("source", source), ("target", target)):
        if name is not None and name not in names:
            raise InputError(f"got {role} {name!r}, expected one of {named(names)}")
    if source is not None and source == target:
        raise InputError(f"got {source!r} as source and target, expected two spaces")
    if len(names) < 2:
        raise InputError(f"got one space, {names[0]}, expected at least two")


def _check_heads(names: list[str], heads: dict[str, Head], options: FitOptions) -> None:
    """Raise before the first map is written where a method lacks the heads that it needs."""
    if not options.needs_heads:
        return
    for name in names:
        if name not in heads:
            raise InputError(
                f"space {name} has no head; the analytic map needs {name}.head.safetensors"
            )
        check_classes(heads[names[0]], heads[name], f"{names[0]} and {name}")


def _write(
    moments: Moments,
    heads: dict[str, Head],
    record: FitRecord,
    options: FitOptions,
    source: str | None,
    target: str | None,
    marks: Callable[[str], dict[str, Any] | None],
    report: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """Write the maps that the record lacks, sources in parallel; return an entry for each."""
    fitter = Fitter(options, heads)
    directions = cache(partial(main_directions, moments))
    sources = [source] if source else [name for name in moments.spaces if name != target]
    moments.flush()  # before several threads read them
    done = count(1)

    def of_source(name: str) -> list[dict[str, Any]]:
        targets = [target] if target else [other for other in moments.spaces if other != name]
        files = {other: record.folder / f"{name}--{other}.safetensors" for other in targets}
        missing = [other for other, file in files.items() if file.name not in record]
        if missing:
            for other, fitted in fitter.fit(moments, name, missing).items():
                _known(fitted, directions, marks).save(files[other], created=record.created)
                record.add(files[other].name)
        report("maps", next(done), len(sources))
        pairs = {"source": name, "method": options.method}
        return [
            {**pairs, "target": other, "path": str(file), "info": _info(file)}
            for other, file in files.items()
        ]

    return [entry for entries in parallel_map(of_source, sources) for entry in entries]


def _marks(
    feature_set: FeatureSet | None, options: FitOptions, source: str
) -> dict[str, Any] | None:
    """Return what identifies the rows that maps from a source are fitted on, where it is known."""
    if options.method in _WITHOUT_ROWS:
        return NOTHING
    return None if feature_set is None else fitted_on(feature_set, source)


def _known(
    fitted: LinearMap | MapPair,
    directions: Callable[[str], Array],
    marks: Callable[[str], dict[str, Any] | None],
) -> LinearMap | MapPair:
    """Return what was fitted, with what identifies its sources and rows."""

    def known(side: LinearMap) -> LinearMap:
        name = side.source.name
        return replace(side, source_directions=directions(name), fitted_on=marks(name))

    if isinstance(fitted, MapPair):
        return MapPair(*(known(side) for side in (fitted.source, fitted.target)))
    return known(fitted)


def _info(file: Path) -> dict[str, Any]:
    """Return the `info` of a map, or of the source's side of a pair."""
    header = read_header(file)
    return dict(header["info"] if "info" in header else header["source"]["info"])
