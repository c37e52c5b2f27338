"""Weights of torch modules: files read without unpickling, and loaded strictly.

Weights are `.safetensors`, with every byte checked where this program wrote them, or any file that
`torch.load(weights_only=True)` reads. Every weight of the architecture must be in the file in its
shape, and nothing else but a classifier that the scheme leaves out.
"""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from intertwine.errors import FileFormatError
from intertwine.extras import import_extra
from intertwine.storage.files import read_header, read_tensors, sha256_tensors
from intertwine.storage.untrusted import DAMAGE, require_ordinary
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

EXTRA = "vision"
# Names shown in an error; a wrong architecture lacks hundreds.
SHOWN = 3
# Counts training batches; inference does not read it, and some files leave it out.
_COUNTER = "num_batches_tracked"


def read_state(path: Path) -> dict[str, Any]:
    """Return the tensors of a file of weights by name; nothing in the file is run."""
    torch: Any = import_extra("torch", EXTRA)
    require_ordinary(path)
    try:
        if path.suffix == ".safetensors":
            state = _read_safetensors(path)
        else:
            with warnings.catch_warnings():
                # It warns of a pickle it will then refuse.
                warnings.simplefilter("ignore", UserWarning)
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileFormatError(
            f"{path}: not a file of torch tensors alone, and nothing else is unpickled; "
            "save its state_dict() with torch.save or as .safetensors"
        ) from error
    except (OSError, SafetensorError, RuntimeError, *DAMAGE) as error:
        raise FileFormatError(f"{path}: cannot be read as weights ({one_line(error)})") from error
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise FileFormatError(f"{path}: holds no plain state_dict of names and tensors")
    return state


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        read_header(path)
    except FileFormatError:
        # Written by others; if it is no such file at all, that shows here.
        return dict(import_extra("safetensors.torch", EXTRA).load_file(path))
    tensors, _ = read_tensors(path, kind="weights")
    torch: Any = import_extra("torch", EXTRA)
    return {name: torch.from_numpy(value) for name, value in tensors.items()}


def load_strict(
    module: Any, state: Mapping[str, Any], *, where: str, dropped: Sequence[str] = ()
) -> None:
    """Put weights into a module, every one of them and nothing else.

    Those whose names begin as one of `dropped` are left out.
    """
    left_out = tuple(dropped)
    weights = {
        name: value
        for name, value in state.items()
        if not name.startswith(left_out) and not name.endswith(_COUNTER)
    }
    check_state(module, weights, where=where)
    # MNASNet asks for the version of its layout, which only a module's own state holds.
    whole = module.state_dict()
    whole.update(weights)
    module.load_state_dict(whole)


def check_state(module: Any, state: Mapping[str, Any], *, where: str) -> None:
    """Check that named tensors or arrays are the weights of a module, each of its shape."""
    named = module.state_dict().items()
    wanted = {name: value for name, value in named if not name.endswith(_COUNTER)}
    missing = [name for name in wanted if name not in state]
    unknown = [name for name in state if name not in wanted]
    if missing or unknown:
        raise FileFormatError(
            f"{where}: holds another architecture: {_some('missing', missing)}, "
            f"{_some('unknown', unknown)}"
        )
    for name, value in state.items():
        if value.shape != wanted[name].shape:
            raise FileFormatError(
                f"{where}: weight {name} has shape {tuple(value.shape)}, "
                f"expected {tuple(wanted[name].shape)}"
            )


def sha256_module(module: Any, facts: Mapping[str, Any] | None = None) -> str:
    """Return one SHA-256 over every weight and buffer of a module, and other facts."""
    torch: Any = import_extra("torch", EXTRA)
    state = module.state_dict()
    # As bytes, since NumPy lacks some of torch's types.
    tensors = {
        name: tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        for name, tensor in state.items()
    }
    kinds = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in state.items()}
    return sha256_tensors(tensors, {**(facts or {}), "kinds": kinds})


def _some(what: str, names: Sequence[str]) -> str:
    more = ", …" if len(names) > SHOWN else ""
    shown = f" ({', '.join(names[:SHOWN])}{more})" if names else ""
    return f"{counted(len(names), 'weight')} {what}{shown}"
