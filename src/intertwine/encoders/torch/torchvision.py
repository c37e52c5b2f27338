"""Image classifiers of torchvision by name: `torchvision:NAME?OPTIONS`, NAME as torchvision's.

The network is split at its head, which any linear classifier is found by; see `torch_head`.
Preprocessing is what torchvision says of its own best weights (`DEFAULT`), whatever weights are
asked for. GoogLeNet and Inception-v3 renormalise their input, as with torchvision's weights, and
their auxiliary classifiers, which only training uses, are left out.

weights=FILE          weights of this network, `.safetensors` or a file of torch tensors
weights=random:SEED   fresh ones, as torchvision starts with; omitted: torchvision's `DEFAULT`
crop=, mean=, …       as for every encoder, over what torchvision says
layer=, pool=, head=  where to split, see docs/networks.md
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from intertwine.encoders.torch.encoder import fresh, open_module, preprocessing
from intertwine.encoders.torch.weights import EXTRA, load_strict, read_state, sha256_module
from intertwine.encoders.torch.zoo import cannot_fetch, import_zoo, unknown_name
from intertwine.encoders.weights import asked_weights
from intertwine.errors import FileFormatError, InputError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri
    from intertwine.encoders.weights import Weights

# Networks with auxiliary classifiers, and a renormalised input with the published weights.
INCEPTIONS = ("googlenet", "inception_v3")
# Auxiliary classifiers, no part of the network as it is run.
_LEFT_OUT = ("aux1.", "aux2.", "AuxLogits.")
# DenseNet's published files hold names from before torch refused dots in them.
_OLD_NAME = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a classifier of torchvision; see `intertwine.encoders.registry.open_encoder`."""
    models: Any = import_zoo(uri, "torchvision.models", EXTRA)
    known = models.list_models(module=models)
    if uri.path not in known:
        raise unknown_name(uri, known)
    published = models.get_model_weights(uri.path).DEFAULT
    weights = asked_weights(uri)
    prepared = preprocessing(uri, defaults=defaults(published.transforms(), uri.size("crop")))
    module = _network(uri, weights, prepared.size)
    if weights.seed is None:
        state = _fetched(uri, published) if weights.file is None else read_state(weights.file)
        _load(module, state, str(weights.file or uri.where))
    return open_module(
        uri,
        module,
        execution,
        preprocessing=prepared,
        weights_sha256=sha256_module(module, {"torchvision": uri.path}),
    )


def defaults(transforms: Any, size: tuple[int, int] | None) -> dict[str, str]:
    """Return torchvision's `ImageClassification`, its preprocessing, as options of a URI.

    The input size is torchvision's own where none is given.
    """
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    size = size or (crop, crop)
    return {
        "crop": "x".join(map(str, size)),
        "resize": f"centre:{max(size) * resize // crop}",
        "interpolation": transforms.interpolation.value,
        "mean": ",".join(map(str, transforms.mean)),
        "std": ",".join(map(str, transforms.std)),
        "scale": "1/255",
    }


def _network(uri: EncoderUri, weights: Weights, size: tuple[int, int]) -> Any:
    """Return the network, its weights fresh."""
    models: Any = import_extra("torchvision.models", EXTRA)
    options: dict[str, Any] = {}
    if uri.path in INCEPTIONS:
        # Their slow start is only for weights that stay.
        fresh_stay = weights.seed is not None
        options = {"transform_input": True, "aux_logits": False, "init_weights": fresh_stay}
    elif uri.path.startswith("vit_"):
        if size[0] != size[1]:
            raise InputError(f"{uri.where}: got crop={size[0]}x{size[1]}, expected a square")
        options = {"image_size": size[0]}
    elif uri.path.startswith("maxvit"):
        options = {"input_size": size}
    try:
        return fresh(lambda: models.get_model(uri.path, weights=None, **options), weights.seed)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{uri.where}: torchvision cannot make it with crop={size[0]}x{size[1]} ({one_line(error)})"
        ) from error


def _fetched(uri: EncoderUri, published: Any) -> Any:
    """Return torchvision's own weights, fetched unless it has done so before."""
    try:
        return published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except OSError as error:
        raise cannot_fetch(uri, PurePosixPath(published.url).name, error) from error
    except (UnpicklingError, RuntimeError) as error:
        raise FileFormatError(
            f"{uri.where}: what torchvision has fetched is not a file of torch tensors alone "
            f"({type(error).__name__}); remove {PurePosixPath(published.url).name} from its cache"
        ) from error


def _load(module: Any, state: Mapping[str, Any], where: str) -> None:
    """Put weights into a network, every one of them and nothing else."""
    given = {_OLD_NAME.sub(r"\1\2", name): value for name, value in state.items()}
    load_strict(module, given, where=where, dropped=_LEFT_OUT)
