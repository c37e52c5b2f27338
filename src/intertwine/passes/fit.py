"""The pass that writes map files with held-out scores: joint moments, then source by source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from itertools import count, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine._moved import renamed
from intertwine.errors import InputError, by_weight
from intertwine.estimators import FitOptions, Fitter, PartlyPaired
from intertwine.estimators.analytic import check_classes
from intertwine.features.feature_set import FeatureSet, file_stamps
from intertwine.features.fitted_on import NOTHING, fitted_on
from intertwine.maps.linear_map import date_text
from intertwine.maps.map_pair import MapPair
from intertwine.maps.source_check import main_directions
from intertwine.moments.accumulators import AUTO
from intertwine.moments.moments import Moments
from intertwine.parallel.threads import parallel_map
from intertwine.passes.held_out import HeldOut, with_scores
from intertwine.passes.moments.checkpoint import EVERY_SECONDS
from intertwine.passes.moments.file import resumable_moments
from intertwine.passes.moments.joint import joint_moments
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
from intertwine.wording import named

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.maps.linear_map import LinearMap
    from intertwine.moments.accumulators import Products
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import Progress
    from intertwine.parallel.workers import Workers
    from intertwine.spaces import Head

# Folder in that of the maps; one of an earlier version kept a file.
FOLDER, EARLIER_FILE = ".fit", ".fit.json"
# Methods whose maps depend on no row.
_WITHOUT_ROWS = frozenset({"analytic", "identity"})


@renamed(say="progress")
def fit_to_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    options: FitOptions,
    source: str | None = None,
    target: str | None = None,
    products: Products = AUTO,
    workers: Workers | None = None,
    every: float = EVERY_SECONDS,
    progress: Progress | None = None,
    unpaired: Sequence[str | os.PathLike[str]] = (),
) -> dict[str, Any]:
    """Fit maps, write each as `OUT/SOURCE--TARGET.safetensors`, and return a JSON-ready summary.

    The same call resumes where a killed one stopped, and writes the same bytes. The paths are
    folders of one feature set, or one file of moments; `source` and `target` are one space each, or
    all when omitted; `progress` takes (what, done, total). `unpaired` are folders of further rows
    for method `self-training`, held in memory as the paired ones then are: each of its own rows,
    which belong to those of no other. Other parameters are those of `resumable_moments`.

    The summary has `maps`, one entry a file: source, target, path, method, the map's own `info`,
    its λ `alpha`, the rows `n`, R² of rows held out, `r2`, and its value by chance, `r2_null`;
    `notes` on the rows, and `warnings`, those that come first.
    """
    require_outside(out, *paths, *unpaired)
    check_writable(out)
    _check_unpaired(paths, unpaired, options)
    out, progress = Path(out), progress or (lambda *_: None)
    with one_run(out):
        if len(paths) == 1 and Path(paths[0]).is_file():
            fit_input = _from_file(Path(paths[0]), out, options, source, target, products.device)
        else:
            fit_input = _from_folders(
                paths, out, options, source, target, products, workers, every, progress
            )
            fit_input = _with_unpaired(fit_input, unpaired)
        return _fit(fit_input, out, options, source, target, progress)


def fit_pair(
    feature_set: FeatureSet,
    source: str,
    target: str,
    *,
    options: FitOptions,
    products: Products = AUTO,
) -> tuple[LinearMap | MapPair, list[str]]:
    """Fit the map of one pair of spaces of a set; return it with doubts about it.

    Its `info` also holds R² of rows held out, `r2`, and its value by chance, `r2_null`, or
    `r2_reason`, why there is none.
    """
    _check_names(list(feature_set.spaces), source, target)
    _check_heads([source, target], feature_set.heads, options)
    names, how = [source, target], {**vars(products)}
    moments = joint_moments(feature_set, names, **how)
    fitted = Fitter(options, feature_set.heads).fit(moments, source, [target])[target]
    fitted = _known(
        fitted, partial(main_directions, moments), partial(_marks, feature_set, options)
    )
    entry = {"source": source, "target": target, "method": options.method, "info": fitted.info}
    held = HeldOut.of(feature_set, moments)
    (scored,), doubts = with_scores(
        [entry], moments, held, options, feature_set.heads, has_rows=True
    )
    facts = {"r2": scored["r2"], "r2_null": scored["r2_null"], "r2_reason": scored["reason"]}
    known = {name: value for name, value in facts.items() if value is not None}
    return fitted.with_info(**known), [*feature_set.shape_doubts(), *doubts]


def _from_file(
    path: Path,
    out: Path,
    options: FitOptions,
    source: str | None,
    target: str | None,
    device: str,
) -> _Input:
    """Read a file of moments, after checking that the maps can be fitted on it."""
    _refuse_array(path)
    moments = Moments.load(path)
    moments.products = replace(moments.products, device=device)
    _check_names(list(moments.spaces), source, target)
    _check_heads(list(moments.spaces), {}, options)
    for name, other in permutations(moments.spaces, 2):
        require_apart(out / f"{name}--{other}.safetensors", path)
    return _Input(moments, read_header(path)["sha256"])


def _from_folders(
    paths: Sequence[str | os.PathLike[str]],
    out: Path,
    options: FitOptions,
    source: str | None,
    target: str | None,
    products: Products,
    workers: Workers | None,
    every: float,
    progress: Progress,
) -> _Input:
    """Compute the moments of a feature set, after checking that the maps can be fitted on it."""
    feature_set = FeatureSet.open(*paths)
    names, heads = list(feature_set.spaces), feature_set.heads
    feature_set.require_two()
    _check_names(names, source, target)
    needed = [name for name in names if name in {source, target}] if source and target else names
    _check_heads(needed, heads, options)
    stamps = file_stamps(feature_set)
    moments, _, remove = resumable_moments(
        feature_set,
        needed,
        out,
        products=products,
        workers=workers,
        every=every,
        progress=lambda done, total: progress("joint moments", done, total),
    )
    return _Input(moments, stamps, heads, feature_set, remove)


def _check_unpaired(
    paths: Sequence[str | os.PathLike[str]],
    unpaired: Sequence[str | os.PathLike[str]],
    options: FitOptions,
) -> None:
    """Raise where unpaired rows come without a method for them, or the method without rows."""
    trains = options.method == "self-training"
    if unpaired and not trains:
        raise InputError(f"got unpaired rows for method {options.method}, expected self-training")
    if trains and not unpaired:
        raise InputError("method self-training needs unpaired rows: give them with --unpaired")
    if trains and len(paths) == 1 and Path(paths[0]).is_file():
        raise InputError(
            f"{paths[0]}: self-training needs rows, expected a folder of a NAME.npy a space"
        )


def _with_unpaired(fit_input: _Input, folders: Sequence[str | os.PathLike[str]]) -> _Input:
    """Return the input with the rows that self-training needs, those of one space joined."""
    if not folders or fit_input.feature_set is None:
        return fit_input
    names, sets = list(fit_input.moments.spaces), [FeatureSet.open(folder) for folder in folders]
    unpaired: dict[str, Array] = {}
    for name in names:
        holders = [each for each in sets if name in each]
        if not holders:
            raise InputError(
                f"got no unpaired rows of {name}: none of {named(sets)} holds {name}.npy"
            )
        for each in holders:
            fit_input.moments.space(name).require(each.spaces[name])
        unpaired[name] = np.concatenate([each.read(name) for each in holders])
    pairs = fit_input.feature_set.read(names)
    stamps = [fit_input.stamps, *(file_stamps(each) for each in sets)]
    return replace(fit_input, stamps=stamps, rows=PartlyPaired(pairs, unpaired))


def _refuse_array(path: Path) -> None:
    if path.suffix in {".npy", ".npz"}:
        what = "one array" if path.suffix == ".npy" else "a file of arrays"
        raise InputError(
            f"{path}: is {what}, expected a folder of a NAME.npy a space, or a file of moments; "
            "put both arrays in one folder and give that"
        )


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


@dataclass(frozen=True)
class _Input:
    """The moments that maps are fitted on, and what else is known of their rows.

    `stamps` distinguishes the rows from others; `remove` removes the checkpoints of the moments, and
    `rows` are those that self-training needs.
    """

    moments: Moments
    stamps: Any
    heads: dict[str, Head] = field(default_factory=dict)
    feature_set: FeatureSet | None = None
    remove: Callable[[], None] = lambda: None
    rows: PartlyPaired | None = None


def _fit(
    fit_input: _Input,
    out: Path,
    options: FitOptions,
    source: str | None,
    target: str | None,
    progress: Progress,
) -> dict[str, Any]:
    """Write the maps that a killed run lacks, and return the summary of all."""
    moments, heads, feature_set = fit_input.moments, fit_input.heads, fit_input.feature_set
    facts = [
        fit_input.stamps,
        _facts(options, heads),
        repr(moments.products),
        source,
        target,
    ]
    record = FitRecord(out, facts)
    marks: Callable[[str], dict[str, Any] | None] = cache(partial(_marks, feature_set, options))
    fitter = Fitter(options, heads, fit_input.rows)
    maps = _write(moments, fitter, record, source, target, marks, progress)
    held = None if feature_set is None else HeldOut.of(feature_set, moments)
    scored, doubts = with_scores(
        maps, moments, held, options, heads, has_rows=feature_set is not None
    )
    fit_input.remove()
    record.remove()
    if feature_set is not None:
        doubts = [*feature_set.shape_doubts(), *doubts, *feature_set.notes]
    return {"maps": scored, **by_weight(doubts)}


def _facts(options: FitOptions, heads: dict[str, Head]) -> list[Any]:
    """Return the options, and the heads that they need, JSON-ready and to the last digit."""
    used = heads if options.needs_heads else {}
    alphas = None if options.alphas is None else options.alphas.tolist()
    return [
        {**vars(options), "alphas": alphas},
        {name: head.fingerprint() for name, head in used.items()},
    ]


def _write(
    moments: Moments,
    fitter: Fitter,
    record: FitRecord,
    source: str | None,
    target: str | None,
    marks: Callable[[str], dict[str, Any] | None],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Write the maps that the record lacks, sources in parallel; return an entry for each."""
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
        progress("maps", next(done), len(sources))
        pairs = {"source": name, "method": fitter.options.method}
        return [
            {**pairs, "target": other, "path": str(file), "info": _info(file)}
            for other, file in files.items()
        ]

    return [entry for entries in parallel_map(of_source, sources) for entry in entries]


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


def _marks(
    feature_set: FeatureSet | None, options: FitOptions, source: str
) -> dict[str, Any] | None:
    """Return what identifies the rows that maps from a source are fitted on, where it is known."""
    if options.method in _WITHOUT_ROWS:
        return NOTHING
    # Of unpaired rows no marks are kept, so on which rows such a map was fitted is not known.
    if feature_set is None or options.method == "self-training":
        return None
    return fitted_on(feature_set, source)


def _info(file: Path) -> dict[str, Any]:
    """Return the `info` of a map, or of the source's side of a pair."""
    header = read_header(file)
    return dict(header["info"] if "info" in header else header["source"]["info"])


class FitRecord:
    """Progress of one fit in its folder of maps; the record of a different fit is ignored.

    The facts, JSON-ready, identify the fit.
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
