"""A function of a TensorFlow SavedModel with its variables frozen into one graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from intertwine.encoders.tensorflow import EXTRA
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.storage.files import sha256_file, sha256_tensors
from intertwine.wording import named, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODEL = "saved_model.pb"
# Lies beside the graph of a module that TF-Hub made with TensorFlow 1.
HUB_1 = "tfhub_module.pb"
# Chosen, in this order, where the URI names none.
_SIGNATURES = ("serving_default", "default")
_OUTPUTS = ("default", "logits")


@dataclass(frozen=True)
class Frozen:
    """One function of images as a graph whose weights are constants."""

    graph_def: Any
    # Names of its input and its output tensor.
    feed: str
    output: str
    # Of its input, None where open; empty when it is not known at all.
    shape: tuple[int | None, ...]
    dtype: str
    parameters: int


def freeze(tf: Any, folder: Path, asked: str | None, where: str) -> Frozen:
    """Return a function of a SavedModel, asked for as `SIGNATURE` or `SIGNATURE:OUTPUT`."""
    tags = _tags(folder, where)
    try:
        # No TF-Hub library is needed: its modules are SavedModels.
        loaded = tf.saved_model.load(str(folder), tags=tags)
    except (tf.errors.OpError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise FileFormatError(f"{where}: TensorFlow cannot load it ({gist(error)})") from error
    signature, _, output = (asked or "").partition(":")
    function = _function(loaded, signature, where)
    position = _position(function, output, where)
    conversion: Any = import_extra("tensorflow.python.framework.convert_to_constants", EXTRA)
    try:
        frozen = conversion.convert_variables_to_constants_v2(function)
    except (tf.errors.OpError, AttributeError, RuntimeError, ValueError) as error:
        raise InputError(f"{where}: its variables cannot be frozen ({gist(error)})") from error
    if len(frozen.inputs) != 1:
        names = [tensor.name.partition(":")[0] for tensor in frozen.inputs]
        raise InputError(f"{where}: got inputs {named(names)}, expected one, the image")
    (feed,) = frozen.inputs
    return Frozen(
        graph_def=frozen.graph.as_graph_def(),
        feed=feed.name,
        output=frozen.outputs[position].name,
        shape=() if feed.shape.rank is None else tuple(feed.shape.as_list()),
        dtype=feed.dtype.name,
        parameters=sum(v.shape.num_elements() for v in function.variables if v.dtype.is_floating),
    )


def gist(error: Exception) -> str:
    """Return the line of TensorFlow's many that describes what is wrong."""
    around = ("Graph execution error", "Detected at node", "<stack traces", " ", "\t")
    lines = [line for line in str(error).splitlines() if line and not line.startswith(around)]
    return lines[0] if lines else type(error).__name__


def sha256_model(folder: Path) -> str:
    """Return one SHA-256 over the graph and the variables of a SavedModel."""
    files = [folder / MODEL, *sorted((folder / "variables").glob("variables.*"))]
    return sha256_tensors({}, {file.name: sha256_file(file) for file in files})


def _tags(folder: Path, where: str) -> list[str] | None:
    """Return the tags of the graph to load; None where there is one graph only."""
    path = folder / MODEL
    if not path.is_file():
        inner = sorted(file.parent.name for file in folder.glob(f"*/{MODEL}"))
        hint = f"; one lies in its folder {inner[0]}" if inner else ""
        raise InputError(f"{where}: no SavedModel, expected {MODEL} and variables/ in it{hint}")
    protos: Any = import_extra("tensorflow.core.protobuf.saved_model_pb2", EXTRA)
    decode_error = import_extra("google.protobuf.message", EXTRA).DecodeError
    try:
        model = protos.SavedModel.FromString(path.read_bytes())
    except (decode_error, OSError) as error:
        raise FileFormatError(f"{path}: not a readable SavedModel ({one_line(error)})") from error
    sets = [sorted(graph.meta_info_def.tags) for graph in model.meta_graphs]
    if len(sets) == 1:
        return None
    # Beside a module's graph for inference, which has no tags, is one for training.
    wanted: list[str] = [] if (folder / HUB_1).is_file() else ["serve"]
    if wanted not in sets:
        raise FileFormatError(f"{path}: holds graphs tagged {sets}, expected one tagged {wanted}")
    return wanted


def _function(loaded: Any, asked: str, where: str) -> Any:
    """Return the signature that is asked for or is the default, else what a call runs."""
    signatures = dict(loaded.signatures)
    choice = next((name for name in (asked, *_SIGNATURES) if name in signatures), None)
    if asked and choice != asked:
        raise InputError(f"{where}: no signature {asked}; it has {', '.join(signatures) or 'none'}")
    if choice is not None:
        return signatures[choice]
    if len(signatures) > 1:
        raise InputError(
            f"{where}: has signatures {', '.join(signatures)}; choose one with signature=NAME"
        )
    if signatures:
        return next(iter(signatures.values()))
    for call in getattr(loaded.__call__, "concrete_functions", ()) if callable(loaded) else ():
        arguments, named = call.structured_input_signature
        # A flag that is set is `training`.
        if not any(value is True for value in (*arguments, *named.values())):
            return call
    raise InputError(f"{where}: has no signature and no function to call it by")


def _position(function: Any, asked: str, where: str) -> int:
    """Return which of a function's outputs is asked for or is the default."""
    structured = function.structured_outputs
    # TensorFlow lists the outputs of a signature sorted by their names.
    names: Sequence[str] = sorted(structured) if isinstance(structured, dict) else ()
    if asked and asked not in names:
        raise InputError(f"{where}: no output {asked}; it has {', '.join(names) or 'one'}")
    if len(function.outputs) == 1:
        return 0
    choice = next((name for name in (asked, *_OUTPUTS) if name in names), None)
    if choice is None:
        raise InputError(
            f"{where}: has outputs {', '.join(names) or len(function.outputs)}; choose one with "
            "signature=NAME:OUTPUT"
        )
    return names.index(choice)
