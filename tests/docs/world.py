"""What pages call by a name, such as `fit/` or `pairs.txt`: small real data, cut from the sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tests.conftest import save_folder, save_images, save_network

from intertwine.features import samples
from intertwine.spaces import Head

if TYPE_CHECKING:
    from pathlib import Path

# Networks of pages and the space of the sample that stands for each.
IMAGES = {"resnet152": "googlenet", "inception_v4": "mobilenet_v2"}
TEXTS = {"wordllama": "mobilenet_v1", "minilm": "mobilenet_v3"}
FACES = {"facenet": "facenet_casia", "sface": "sface"}
# Dimensions that differ from the usual 96.
COLUMNS = {"wordllama": 256, "minilm": 384}
ROWS, PEOPLE, PAIRS = 400, 300, 30


@dataclass(frozen=True)
class World:
    """A folder in which each name is made once, when a page first asks for it."""

    folder: Path

    def lay(self, text: str, folder: Path) -> None:
        """Link what a text names into a folder."""
        for name in MAKERS:
            if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(self.place(name))

    def place(self, name: str) -> Path:
        """Return where a name's data lie, made if need be."""
        out = self.folder / name
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            MAKERS[name](self, out)
        return out


def _unpack_images(_: World, out: Path) -> None:
    samples.unpack(samples.find_sample(samples.IMAGENET), out)


def _unpack_faces(_: World, out: Path) -> None:
    samples.unpack_faces(samples.find_sample(samples.FACES), out)


def _features(folder: Path, names: dict[str, str], rows) -> dict[str, np.ndarray]:
    """Return rows and the first columns of spaces, under the names that pages use."""
    loaded = {name: np.load(folder / f"{source}.npy") for name, source in names.items()}
    return {
        name: array[rows][:, : COLUMNS.get(name, 96)].astype(np.float32)
        for name, array in loaded.items()
    }


def _image_set(part: str):
    """Return the maker of a set with heads, labels and ids."""

    def make(world: World, out: Path) -> None:
        folder, rows = world.place("demo-output/sample") / part, np.arange(ROWS)
        heads = {}
        for name, source in IMAGES.items():
            head = Head.load(folder / f"{source}.head.safetensors")
            heads[name] = Head(np.ascontiguousarray(head.weight[:, :96]), head.bias)
        ids = (folder / "ids.txt").read_text().split()[:ROWS]
        labels = np.load(folder / "labels.npy")[rows]
        save_folder(out, _features(folder, IMAGES, rows), heads=heads, labels=labels, ids=ids)

    return make


def _pairs_set(world: World, out: Path) -> None:
    """Write pairs of two models, labelled by groups of a hundred classes, with the ids of sample.csv."""
    folder, rows = world.place("demo-output/sample") / "fit", np.arange(ROWS)
    labels = np.load(folder / "labels.npy")[rows] // 100
    save_folder(out, _features(folder, TEXTS, rows), labels=labels, ids=rows)


def _texts(_: World, out: Path) -> None:
    out.write_text("id,text\n" + "".join(f"{row},sentence {row}\n" for row in range(ROWS)))


def _many_rows(world: World, out: Path) -> None:
    """Write two narrow spaces of 200,000 rows, the sample's repeated."""
    folder = world.place("demo-output/sample") / "fit"
    rows = np.arange(200_000) % 2_700
    features = _features(folder, IMAGES, slice(None))
    save_folder(out, {name: array[:, :6][rows] for name, array in features.items()})


def _all_faces(world: World, out: Path) -> None:
    folder = world.place("demo-output/faces") / samples.SET
    ids = (folder / "ids.txt").read_text().split()
    save_folder(out, _features(folder, FACES, slice(None)), ids=ids)


def _face_pairs(world: World, out: Path) -> None:
    """Keep the first pairs of each fold, half of them of one person."""
    lines = (world.place("demo-output/faces") / samples.PAIRS).read_text().splitlines()
    kinds: dict[tuple[str, ...], list[str]] = {}
    for line in lines:
        kinds.setdefault(tuple(line.split(",")[2:]), []).append(line)
    out.write_text("".join(f"{line}\n" for each in kinds.values() for line in each[:PAIRS]))


def _people(side: int):
    """Return the maker of a set with one image of each person, another on the other side."""

    def make(world: World, out: Path) -> None:
        folder = world.place("demo-output/faces") / samples.SET
        person = np.load(folder / "labels.npy")
        shown = [np.flatnonzero(person == each) for each in np.unique(person)]
        rows = np.array([images[side] for images in shown if len(images) > 1][:PEOPLE])
        ids = np.array((folder / "ids.txt").read_text().split())[rows]
        save_folder(out, _features(folder, FACES, rows), labels=person[rows], ids=ids)

    return make


def _vectors(world: World, out: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    vectors = np.load(world.place("eval") / "resnet152.npy")
    table = {"id": np.arange(len(vectors)), "vector": list(vectors)}
    parquet.write_table(pa.table(table), out)


def _network(seed: int):
    return lambda _, out: save_network(out, seed=seed)


MAKERS = {
    "demo-output/sample": _unpack_images,
    "demo-output/faces": _unpack_faces,
    "fit": _image_set("fit"),
    "eval": _image_set("eval"),
    "pairs": _pairs_set,
    "sample.csv": _texts,
    "set": _many_rows,
    "faces": _all_faces,
    "pairs.txt": _face_pairs,
    "gallery": _people(0),
    "probes": _people(1),
    "enrolled": _people(0),
    "seen": _people(1),
    "vectors.parquet": _vectors,
    "photos": lambda _, out: save_images(out, 40),
    "googlenet.onnx": _network(0),
    "resnet50.onnx": _network(1),
}
