"""Image networks of timm by name: `timm:NAME?OPTIONS`, NAME as timm spells it.

The network is split at its head, which any linear classifier is found by; see `torch_head`. Its
preprocessing is what timm says of it: input size, share of the image that stays, interpolation,
mean and standard deviation. Two kinds that timm has and this program has not are replaced: a border
around the image by squashing the whole image, and a squashed image whose rim is cut off (a dozen
networks, most of them NFNets) by the usual centre, which is the same for square images.

weights=FILE          weights of this network or a checkpoint that timm converts, `.safetensors` or
                      a file of torch tensors; nothing in it is run
weights=random:SEED   fresh ones, as timm starts with; omitted: those that timm publishes
crop=, mean=, …       as for every encoder, over what timm says
layer=, pool=, head=  where to split, see docs/networks.md
"""

from __future__ import annotations

import math
import textwrap
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from intertwine.encoders.torch.encoder import fresh, open_module, preprocessing
from intertwine.encoders.torch.weights import EXTRA, load_strict, sha256_module
from intertwine.encoders.torch.zoo import brief_hub, cannot_fetch, import_zoo, unknown_name
from intertwine.encoders.weights import Weights, asked_weights
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri

# What timm looks for in a hub repository when its settings name no other file.
HUB_FILE = "model.safetensors"
# Families whose files timm itself loads without asking whether every weight is there.
LENIENT = ("dla",)


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a network of timm; see `intertwine.encoders.registry.open_encoder`."""
    config = _config(uri)
    weights = asked_weights(uri)
    size = uri.size("crop") or config.input_size[1:]
    prepared = preprocessing(uri, defaults=defaults(config, size))
    # Networks that fix their input get its size when they are made.
    resized = config.fixed_input_size and size != tuple(config.input_size[1:])
    module = _network(uri, config, weights, {"img_size": size} if resized else {})
    architecture = uri.path.partition(".")[0]
    return open_module(
        uri,
        module,
        execution,
        preprocessing=prepared,
        weights_sha256=sha256_module(module, {"timm": architecture}),
    )


def _config(uri: EncoderUri) -> Any:
    """Return timm's settings of a network: its input, and where its weights are."""
    timm: Any = import_zoo(uri, "timm", EXTRA)
    models: Any = import_extra("timm.models", EXTRA)
    if not models.is_model(uri.path):
        raise unknown_name(uri, timm.list_models())
    try:
        return models.get_pretrained_cfg(uri.path, allow_unregistered=False)
    except RuntimeError as error:
        architecture = uri.path.partition(".")[0]
        raise unknown_name(uri, timm.list_pretrained(f"{architecture}.*")) from error


def defaults(config: Any, size: tuple[int, int]) -> dict[str, str]:
    """Return timm's preprocessing for evaluation, in a `PretrainedCfg`, as options of a URI."""
    data: Any = import_extra("timm.data", EXTRA)
    facts = data.resolve_data_config({}, pretrained_cfg=config.to_dict())
    mode, share = facts["crop_mode"], facts["crop_pct"]
    whole = mode == "border" or (mode == "squash" and share == 1)
    return {
        "crop": "x".join(map(str, size)),
        "resize": "squash" if whole else f"centre:{math.floor(max(size) / share)}",
        "interpolation": facts["interpolation"],
        "mean": ",".join(map(str, facts["mean"])),
        "std": ",".join(map(str, facts["std"])),
        "scale": "1/255",
    }


def _network(uri: EncoderUri, config: Any, weights: Weights, sized: dict[str, Any]) -> Any:
    """Return the network with the weights that are asked for."""
    create: Any = import_extra("timm", EXTRA).create_model
    if weights.file is not None:
        return _from_file(uri, weights.file, sized)
    if weights.seed is None:
        return _published(uri, config, sized)
    try:
        return fresh(lambda: create(uri.path, **sized), weights.seed)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise _impossible(uri, error) from error


def _from_file(uri: EncoderUri, file: Path, sized: dict[str, Any]) -> Any:
    timm: Any = import_extra("timm", EXTRA)
    models: Any = import_extra("timm.models", EXTRA)
    try:
        # Unpickles nothing: it reads safetensors, or with weights_only.
        state = models.load_state_dict(str(file), weights_only=True)
    except Exception as error:
        raise FileFormatError(
            f"{file}: cannot be read as weights ({_short(error)}), and nothing is unpickled; "
            "save its state_dict() with torch.save or as .safetensors"
        ) from error
    overlay = {"state_dict": state}
    try:
        module = fresh(
            lambda: timm.create_model(
                uri.path, pretrained=True, pretrained_cfg_overlay=overlay, **sized
            ),
            0,
        )
    except AssertionError as error:
        raise _impossible(uri, error) from error
    except Exception as error:
        raise FileFormatError(
            f"{uri.where}: {file} holds other weights than this network's: {_short(error)}"
        ) from error
    if type(module).__module__.rpartition(".")[2] in LENIENT:
        load_strict(module, state, where=str(file))
    # A second copy of all weights, which timm leaves with the network.
    module.pretrained_cfg.pop("state_dict")
    return module


def _published(uri: EncoderUri, config: Any, sized: dict[str, Any]) -> Any:
    create: Any = import_extra("timm", EXTRA).create_model
    file = config.hf_hub_filename or HUB_FILE
    if config.hf_hub_id:
        file = f"{file} of the hub repository {config.hf_hub_id.partition('@')[0]}"
    elif config.url:
        file = PurePosixPath(config.url).name
    else:
        raise InputError(
            f"{uri.where}: timm publishes no weights of it; give weights=FILE or "
            "weights=random:SEED, or name others: NAME.TAG as timm lists them"
        )
    try:
        with brief_hub(EXTRA):
            return fresh(lambda: create(uri.path, pretrained=True, **sized), 0)
    except OSError as error:
        raise cannot_fetch(uri, file, error) from error
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise _impossible(uri, error) from error


def _impossible(uri: EncoderUri, error: Exception) -> InputError:
    size = f" with crop={uri.options['crop']}" if "crop" in uri.options else ""
    return InputError(f"{uri.where}: timm cannot make it{size} ({_short(error)})")


def _short(error: Exception) -> str:
    """Return the lines of a message as one, each cut: torch lists hundreds of names in them."""
    lines = [textwrap.shorten(line, 140, placeholder=" …") for line in str(error).splitlines()]
    return " ".join(lines[:4]) or type(error).__name__
