"""The files that this program reads: a good one of each kind, and all that is read of it."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

import fuzz_networks as networks
from intertwine.features.feature_set import FeatureSet
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair, load_map
from intertwine.moments.moments import Moments
from intertwine.spaces import Head, Space
from intertwine.storage.files import read_tensors, write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

N, D, K = 12, 4, 3


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Parameters
    ----------
    make
        Writes a good one into an empty folder and returns the file that is to be damaged.
    read
        Reads whatever of it a command would.
    signed
        The kind that `write_tensors` signs it as; its header is then damaged and signed again.
    heavy
        Whether a reading takes milliseconds, so that fewer are made.
    spoil
        Damages the file beneath what would give all other damage away, such as a checksum.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    signed: str | None = None
    heavy: bool = False
    spoil: Callable[[Path, Random], None] | None = None


def features(rows: int = N) -> Any:
    """Return (rows, D) features."""
    return np.random.default_rng(0).standard_normal((rows, D)).astype(np.float32)


def feature_set(folder: Path) -> Path:
    """Write a feature set with everything that one may hold."""
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", features())
        Head(features()[:K], np.zeros(K), np.arange(K)).save(folder / f"{name}.head.safetensors")
    np.save(folder / "labels.npy", np.arange(N) % K)
    (folder / "ids.txt").write_text("".join(f"image-{i}.png\n" for i in range(N)))
    facts = {"fingerprint": "0" * 64, "crop": [224, 224], "parameters": 7, "encoder": "onnx:a.onnx"}
    facts |= {"complete": [[0, N]], "dim": D, "dtype": "float32", "reported_top1": 0.5}
    manifest = {"format_version": 1, "rows": N, "ids_sha256": None, "spaces": {"a": facts}}
    manifest |= {"input": {"path": "images"}, "left_out": [{"id": "x", "reason": "cut"}]}
    write_json(folder / "feature_set.json", manifest)
    return folder


def part_of_a_set(name: str) -> Callable[[Path], Path]:
    """Return what writes a set and names one of its files."""
    return lambda folder: feature_set(folder) / name


def journal(folder: Path) -> Path:
    """Write a set that is half in its journal."""
    feature_set(folder)
    path = folder / ".fill-0-12.json"
    write_json(path, {"spaces": {"b": {"complete": [[0, 5], [5, N]]}}, "bad": []})
    return path


def read_set(path: Path) -> object:
    """Open a set as commands do, describe it, and read its rows."""
    from intertwine.cli.inspect import describe
    from intertwine.features.writing.journal import read_with_journals

    folder = path.parent
    json.dumps(describe(folder), allow_nan=False)
    opened = FeatureSet.open(folder)
    for _ in opened.chunks(list(opened.spaces)):
        pass
    return read_with_journals(folder) if path.name.startswith(".fill") else opened.labels


def linear_map(folder: Path) -> Path:
    """Write a map with all that one may hold."""
    path = folder / "a--b.safetensors"
    weight = np.random.default_rng(1).standard_normal((3, D))
    info = {"alpha": 1.0, "n": N, "notes": ["one"], "plan": {"unit": True, "n_pairs": 5}}
    parts = {"source_mean": np.zeros(D), "source_spread": np.ones(D)}
    spaces = (Space("a", D, "f" * 64), Space("b", 3))
    LinearMap(weight, np.zeros(3), *spaces, "ridge", info, **parts).save(path)
    return path


def map_pair(folder: Path) -> Path:
    """Write a pair of maps into a shared space."""
    path, shared = folder / "a--b.safetensors", Space("shared", 2)
    sides = (
        LinearMap(np.ones((2, d)), np.zeros(2), Space(name, d), shared, "cca", {"n": N})
        for name, d in (("a", D), ("b", 3))
    )
    MapPair(*sides).save(path)
    return path


def read_map(path: Path) -> object:
    """Load a map and use it."""
    from intertwine.cli.inspect import describe

    json.dumps(describe(path), allow_nan=False)
    found = load_map(path)
    _ = found.info.get("plan"), found.info.get("n")
    return found.apply(np.ones((2, found.source.dim)))


def moments(folder: Path) -> Path:
    """Write moments of two spaces."""
    found = Moments({"a": D, "b": D}, precision="float64")
    found.update({"a": features(), "b": features()})
    found.save(folder / "moments.safetensors")
    return folder / "moments.safetensors"


def read_moments(path: Path) -> object:
    """Load moments and fit from them."""
    from intertwine.estimators import ridge

    found = Moments.load(path)
    names = list(found.spaces)
    return ridge(found, names[0], names[1:])


def report(folder: Path) -> Path:
    """Write the object of a closed-set report."""
    row = {"source": "a", "target": "b", "accuracy": 0.5, "percent_change": -3.0}
    own = {**row, "target": "a", "percent_change": None}
    value = {"study": "closed-set", "pairs": [row, own], "notes": ["one"], "controls": ["c"]}
    write_json(folder / "report.json", value)
    return folder / "report.json"


def read_report(path: Path) -> object:
    """Read a report as `inspect` and `similarity --closed-set` do."""
    from intertwine.cli.inspect import describe
    from intertwine.studies.similarity.interchangeability import read_swaps

    json.dumps(describe(path), allow_nan=False)
    return [row["percent_change"] or 0 + 1 for row in read_swaps(path)]


def text(content: str, name: str) -> Callable[[Path], Path]:
    """Return what writes a text."""

    def make(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return make


OFFICIAL = "2\t2\n" + 2 * "Ann_B\t1\t2\nCid\t1\t3\nAnn_B\t1\tCid\t2\nCid\t4\tDee\t1\n"
LISTED = "id1,id2,same,fold\n" + "".join(f"a/{i}.jpg,b/{i}.jpg,{i % 2},{i % 3}\n" for i in range(9))
BOX = ",".join(str(float(i)) for i in range(14))


def read_pairs(path: Path) -> object:
    """Read a list of pairs."""
    from intertwine.studies.open_set.pairs import read_pairs as read

    return read(path)


def faces(folder: Path) -> Path:
    """Write a list of faces."""
    from intertwine.inputs.images.faces.cache import HEADER

    line = f"x.jpg,mtcnn,1,{','.join(str(float(i)) for i in range(len(HEADER) - 3))}\n"
    (folder / "faces.csv").write_text(",".join(HEADER) + "\n" + line + line.replace("x", "y"))
    return folder / "faces.csv"


def read_faces(path: Path) -> object:
    """Read faces as an extraction does."""
    from intertwine.inputs.images.faces.cache import FaceCache

    return FaceCache(path.parent, SimpleNamespace(name="mtcnn")).get("x.jpg")  # type: ignore[arg-type]


def picture(form: str) -> bytes:
    """Return a small image."""
    from PIL import Image

    pixels = np.random.default_rng(2).integers(0, 255, (9, 7, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def image(form: str, suffix: str) -> Callable[[Path], Path]:
    """Return what writes an image."""

    def make(folder: Path) -> Path:
        (folder / f"x{suffix}").write_bytes(picture(form))
        return folder / f"x{suffix}"

    return make


def read_image(path: Path) -> object:
    """Decode an image."""
    from intertwine.inputs.images.decode import decode

    return np.asarray(decode(path))


def tar(folder: Path) -> Path:
    """Write a shard of images with labels."""
    with tarfile.open(folder / "x.tar", "w") as file:
        for i in range(3):
            for name, data in ((f"{i}.png", picture("PNG")), (f"{i}.json", b'{"label": 1}')):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    return folder / "x.tar"


def read_images(path: Path) -> object:
    """List images and decode each."""
    from intertwine.inputs.images.decode import decode
    from intertwine.inputs.images.listing import list_images

    listed = list_images(path)
    return [
        np.asarray(decode(listed.open(row), name=listed.name(row))) for row in range(len(listed))
    ]


def manifest(folder: Path) -> Path:
    """Write images and their manifest."""
    for i in range(3):
        (folder / f"{i}.png").write_bytes(picture("PNG"))
    (folder / "list.txt").write_text("0.png 0\n1.png 1\n2.png 1\n")
    return folder / "list.txt"


def csv(folder: Path) -> Path:
    """Write images and their table."""
    manifest(folder)
    (folder / "x.csv").write_text("image,label,id\n0.png,0,a\n1.png,1,b\n2.png,1,c\n")
    return folder / "x.csv"


def read_texts(path: Path) -> object:
    """List texts and read them."""
    from intertwine.inputs.texts.listing import list_texts

    listed = list_texts(path)
    return [listed.texts(range(i, min(i + 4, len(listed)))) for i in range(0, len(listed), 4)]


def table(suffix: str) -> Callable[[Path], Path]:
    """Return what writes a table of vectors, ids and texts."""

    def make(folder: Path) -> Path:
        import pyarrow as pa
        from pyarrow import feather, parquet

        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features().ravel()), D)
        columns = {"vector": vectors, "id": [f"i{i}" for i in range(N)], "text": ["so"] * N}
        path, made = folder / f"x{suffix}", pa.table(columns)
        if suffix == ".parquet":
            parquet.write_table(made, path, row_group_size=5)
        else:
            feather.write_feather(made, str(path), compression="uncompressed")
        return path

    return make


def read_vectors(path: Path) -> object:
    """Read all vectors of a file, and what is written beside them."""
    from intertwine.vectors import open_vectors

    opened = open_vectors(path)
    return [
        opened.read(range(i, min(i + 5, opened.n_rows)))
        for i in range(0, min(opened.n_rows, 99), 5)
    ]


def read_store(path: Path) -> object:
    """Open a file as a store and read its items."""
    from intertwine.stores import open_store

    scheme = {".npy": "npy", ".faiss": "faiss", ".parquet": "parquet", ".arrow": "arrow"}[
        path.suffix
    ]
    store = open_store(f"{scheme}:{path}")
    try:
        for batch in islice(store.batches(5), 20):
            store.read(batch.ids)
        return store.mark()
    finally:
        store.close()


def npy(folder: Path) -> Path:
    """Write an array."""
    np.save(folder / "x.npy", features())
    return folder / "x.npy"


def tensor(folder: Path) -> Path:
    """Write vectors as a tensor."""
    from safetensors.numpy import save_file

    save_file({"x": features()}, folder / "x.safetensors")
    return folder / "x.safetensors"


def note(folder: Path) -> Path:
    """Write the note of a migration beside a file."""
    from intertwine.stores.rows.switch import note_of, write_note
    from intertwine.stores.store import MigrationRecord

    mark = MigrationRecord("0" * 64, Space("a", D), Space("b", D))
    write_note(npy(folder), mark, inputs={"0": [1, 2]})
    return note_of(folder / "x.npy")


def read_note(path: Path) -> object:
    """Read a store whose note is damaged."""
    return read_store(path.with_name("x.npy"))


def mark(folder: Path) -> Path:
    """Write the text that marks a column."""
    from intertwine.stores.store import MigrationRecord

    (folder / "mark.txt").write_text(
        MigrationRecord("0" * 64, Space("a", D), Space("b", 3)).to_text()
    )
    return folder / "mark.txt"


def read_mark(path: Path) -> object:
    """Read a mark and compare it."""
    from intertwine.stores.store import MigrationRecord

    found = MigrationRecord.from_text(path.read_text(encoding="utf-8", errors="replace"))
    return found and (found.after_switch_of(found), found.switched(None), found.to_text())


def address(folder: Path) -> Path:
    """Write addresses of stores, one a line."""
    lines = ["pgvector://user:secret@127.0.0.1:5432/db?table=t&column=c&id=a", "npy:folder/x.npy"]
    lines += ["qdrant:http://127.0.0.1:6333/c?api_key=secret", "lancedb:s3://bucket/db/t?column=v"]
    (folder / "address.txt").write_text("\n".join(lines))
    return folder / "address.txt"


def read_address(path: Path) -> object:
    """Parse what may be an address; nothing is opened."""
    from intertwine.errors import IntertwineError
    from intertwine.stores.address import Address

    for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        try:
            found = Address.parse(line)
            _ = found.shown, found.secrets
        except IntertwineError:
            pass
    return None


def uri(folder: Path) -> Path:
    """Write URIs of encoders, one a line."""
    lines = ["timm:resnet18?weights=random:0&head=fc", "onnx:x.onnx?mean=1,2,3&layout=nchw"]
    lines += ["hf:name?pool=mean", "keras:MobileNetV2?crop=224x224"]
    (folder / "uri.txt").write_text("\n".join(lines))
    return folder / "uri.txt"


def read_uri(path: Path) -> object:
    """Parse what may be a URI; nothing is opened."""
    from intertwine.encoders.registry import parse_uri
    from intertwine.errors import IntertwineError

    for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        with suppress(IntertwineError):
            parse_uri(line)
    return None


def partial(folder: Path) -> Path:
    """Write the record of an output in the making."""
    from intertwine.vectors.partial_output import PartialOutput, partial_files

    with PartialOutput(folder / "x.npy", dict(IDENTITY)) as made:
        made.file.write(0, features()[:5])
        made.add(0, 5)
    return partial_files(folder / "x.npy")[1]


IDENTITY = {"shape": [N, D], "dtype": "float32", "output": "x.npy"}


def read_partial(path: Path) -> object:
    """Go on with an output in the making."""
    from intertwine.vectors.partial_output import PartialOutput

    with PartialOutput(path.with_name("x.npy"), dict(IDENTITY)) as made:
        return made.chunks(5)


def fit_record(folder: Path) -> Path:
    """Write the record of a fit."""
    from intertwine.passes.fit import FitRecord

    record = FitRecord(folder, ["facts"])
    record.add("a--b.safetensors")
    return record.saved.path("a--b.safetensors", ".json")


def read_fit_record(path: Path) -> object:
    """Go on with a fit."""
    from intertwine.passes.fit import FitRecord

    record = FitRecord(path.parent.parent, ["facts"])
    return record.created, "a--b.safetensors" in record


def sample(folder: Path) -> Path:
    """Write a small archive as the bundled samples are."""
    facts = {"spaces": {"a": {}}, "controls": [], "notes": []}
    codes = np.zeros((N, D), np.int8)
    arrays = {
        "facts": np.array(json.dumps(facts)),
        "labels": np.arange(N),
        "is_eval": np.arange(N) % 2,
    }
    arrays |= {
        "ids": np.array([f"i{i}" for i in range(N)]),
        "a.codes": codes,
        "a.head.codes": codes[:K],
    }
    arrays |= {"a.scale": np.ones(D), "a.offset": np.zeros(D)}
    arrays |= {"a.head.scale": np.ones(K), "a.head.bias": np.zeros(K)}
    np.savez(folder / "sample.npz", **arrays)
    return folder / "sample.npz"


def read_sample(path: Path) -> object:
    """Unpack a sample."""
    from intertwine.features.samples import unpack

    return unpack(path, path.parent / "out")


def torch_weights(folder: Path) -> Path:
    """Write a file of torch's."""
    import torch

    torch.save({"weight": torch.ones(3, 4), "bias": torch.zeros(3)}, folder / "x.pt")
    return folder / "x.pt"


def read_weights(path: Path) -> object:
    """Read a state and hash it."""
    from intertwine.encoders.torch.weights import read_state

    return {name: value.shape for name, value in read_state(path).items()}


def faiss_index(folder: Path) -> Path:
    """Write an index with ids."""
    import faiss

    index = faiss.IndexIDMap2(faiss.IndexFlatL2(D))
    index.add_with_ids(features(), np.arange(N))
    faiss.write_index(index, str(folder / "x.faiss"))
    return folder / "x.faiss"


def onnx_network(folder: Path) -> Path:
    """Write a linear network of images."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size = 3 * 8 * 8
    weight = np.random.default_rng(3).standard_normal((size, D)).astype(np.float32)
    head = np.random.default_rng(4).standard_normal((K, D)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["f"]),
        helper.make_node("Gemm", ["f", "h", "c"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", K])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(head, "h"),
            numpy_helper.from_array(np.zeros(K, np.float32), "c"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "x.onnx"))
    return folder / "x.onnx"


def read_network(path: Path) -> object:
    """Open an encoder."""
    from intertwine.encoders.registry import open_encoder

    return open_encoder(f"{path.suffix[1:]}:{path}").dim


def checkpoint(folder: Path) -> Path:
    """Write what a killed study had finished."""
    from intertwine.storage.shelf import Checkpoints, run_key

    saved = Checkpoints(folder, run_key("study"))
    saved.save("000", {"scores": [["a", "b", {"cka": 0.5}, {}]], "folds": []})
    return saved.path("000", ".json")


def read_checkpoint(path: Path) -> object:
    """Go on with a killed study."""
    from intertwine.storage.shelf import Checkpoints, run_key
    from intertwine.studies.similarity.replicates import Replicate

    return Checkpoints(path.parent, run_key("study")).get("000", Replicate.from_json)


KINDS = {
    "features": Kind(part_of_a_set("a.npy"), read_set),
    "labels": Kind(part_of_a_set("labels.npy"), read_set),
    "ids": Kind(part_of_a_set("ids.txt"), read_set),
    "head": Kind(part_of_a_set("a.head.safetensors"), read_set),
    "manifest of a set": Kind(part_of_a_set("feature_set.json"), read_set),
    "journal": Kind(journal, read_set),
    "map": Kind(linear_map, read_map),
    "signed map": Kind(linear_map, read_map, signed="map"),
    "map pair": Kind(map_pair, read_map, signed="map pair"),
    "moments": Kind(moments, read_moments),
    "signed moments": Kind(moments, read_moments, signed="moments"),
    "report": Kind(report, read_report),
    "official pairs": Kind(text(OFFICIAL, "pairs.txt"), read_pairs),
    "listed pairs": Kind(text(LISTED, "pairs.csv"), read_pairs),
    "faces": Kind(faces, read_faces),
    "png": Kind(image("PNG", ".png"), read_image),
    "jpeg": Kind(image("JPEG", ".jpg"), read_image),
    "webp": Kind(image("WEBP", ".webp"), read_image),
    "gif": Kind(image("GIF", ".gif"), read_image),
    "bmp": Kind(image("BMP", ".bmp"), read_image),
    "tiff": Kind(image("TIFF", ".tif"), read_image),
    "tar": Kind(tar, read_images),
    "manifest of images": Kind(manifest, read_images),
    "csv of images": Kind(csv, read_images),
    "lines of text": Kind(text("one\ntwo\nthree\n", "x.txt"), read_texts),
    "csv of texts": Kind(text("text,id\none,1\ntwo,2\n", "x.csv"), read_texts),
    "parquet of texts": Kind(table(".parquet"), read_texts, heavy=True),
    "parquet": Kind(table(".parquet"), read_vectors, heavy=True),
    "arrow": Kind(table(".arrow"), read_vectors, heavy=True),
    "parquet store": Kind(table(".parquet"), read_store, heavy=True),
    "array": Kind(npy, read_vectors),
    "tensor": Kind(tensor, read_vectors),
    "note": Kind(note, read_note),
    "mark": Kind(mark, read_mark),
    "address": Kind(address, read_address),
    "uri": Kind(uri, read_uri),
    "partial": Kind(partial, read_partial),
    "fit record": Kind(fit_record, read_fit_record),
    "sample": Kind(sample, read_sample, heavy=True),
    "torch": Kind(torch_weights, read_weights, heavy=True),
    "faiss": Kind(faiss_index, read_store),
    "onnx": Kind(onnx_network, read_network, heavy=True),
    "checkpoint": Kind(checkpoint, read_checkpoint),
}
KINDS |= {
    "tflite": Kind(networks.tflite, networks.opened("tflite"), heavy=True),
    "float tflite": Kind(networks.float_tflite, networks.opened("tflite"), heavy=True),
    "keras": Kind(
        networks.keras(".keras"), networks.opened("keras"), heavy=True, spoil=networks.in_archive
    ),
    "keras bytes": Kind(networks.keras(".keras"), networks.opened("keras"), heavy=True),
    "keras h5": Kind(
        networks.keras(".h5"), networks.opened("keras"), heavy=True, spoil=networks.in_attributes
    ),
}
for _name in ("config.json", "preprocessor_config.json", "model.safetensors"):
    KINDS[f"hf {_name}"] = Kind(
        networks.hub_folder(_name),
        networks.opened("hf", folder=True),
        heavy=True,
        spoil=networks.in_header if _name.endswith(".safetensors") else None,
    )
for _name in (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
):
    KINDS[f"st {_name}"] = Kind(
        networks.text_folder(_name),
        networks.opened("st", folder=True),
        heavy=True,
        spoil=networks.in_header if _name.endswith(".safetensors") else None,
    )
for _name in ("dataset_info.json", "state.json", "data-00000-of-00001.arrow"):
    KINDS[f"dataset {_name}"] = Kind(networks.dataset(_name), networks.read_dataset, heavy=True)


def resigned(path: Path, kind: str, damage: Callable[[Any], Any], which: int) -> None:
    """Damage the header or an array of a signed file, and sign it again."""
    tensors, header = read_tensors(path, kind=kind)
    body = {key: header[key] for key in header if key not in {"kind", "format_version"}}
    if which:
        body = damage(body)
    else:
        name = sorted(tensors)[len(tensors) // 2]
        shapes = [
            np.ones(1),
            np.ones((2, 2), np.float32),
            np.zeros((0, 3)),
            np.full((3, 4), np.nan),
        ]
        tensors[name] = damage(shapes)
        if not isinstance(tensors[name], np.ndarray):
            del tensors[name]
    write_tensors(path, tensors, kind=kind, header=body if isinstance(body, dict) else {})
