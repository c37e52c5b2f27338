"""Image networks of transformers, in a folder or by the name of their hub repository.

`hf:FOLDER?…` or `hf:owner/name?…`. A folder holds `config.json`, `preprocessor_config.json` and
`model.safetensors`, as `save_pretrained` writes them. No code from a repository is run, and nothing
is unpickled.

An image classifier is split at its head, see `intertwine.encoders.torch.head`. Another network has
no head: its features are its own pooled output (of one that reads texts too, or that ends in a
projection, the embedding of the image), or, with `pool=`, its last hidden state. Weights in the file
that the network would not use are an error, unless `pool=` or `layer=` says what to take.

weights=FILE          other weights, `.safetensors` or `.pt`, named as in the network
weights=random:SEED   fresh weights, as the network's own class starts with
layer=NAME, pool=…    split at a named layer, or pool the last hidden state: `mean` or `first`
crop=, resize= …      instead of what the image processor's settings say
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from intertwine.encoders.hub.image_processor import check_processor, processor_options
from intertwine.encoders.hub.model_folder import attempt, model_folder
from intertwine.encoders.preprocessing import OPTIONS
from intertwine.encoders.torch.encoder import fresh, open_module, preprocessing
from intertwine.encoders.torch.runner import check_repeatable
from intertwine.encoders.torch.weights import load_strict, read_state
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import damage_as_error, require_shape
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.execution import Execution
    from intertwine.encoders.preprocessing import Preprocessing
    from intertwine.encoders.uri import EncoderUri

EXTRA = "transformers"
PROCESSOR = "preprocessor_config.json"
# Where networks that read texts too may hold it, beside a tokenizer's settings.
PROCESSORS = (PROCESSOR, "processor_config.json")
# What the URI must set where there is no processor.
NEEDED = ("crop", "mean", "std", "scale")
CLASSIFIER = "ForImageClassification"
# Classes that no Auto class opens, such as CLIPVisionModelWithProjection.
PROJECTION = "WithProjection"


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open an image network of transformers; see `intertwine.encoders.registry.open_encoder`.

    A network is refused where its image processor does what `Preprocessing` cannot express.
    """
    import_extra("torch", EXTRA)
    import_extra("transformers", EXTRA)
    published = "weights" not in uri.options
    needs = ("config.json", "model.safetensors") if published else ("config.json",)
    folder = model_folder(uri, extra=EXTRA, needs=needs, takes=(PROCESSOR,))
    config = _auto(uri, "AutoConfig", "from_pretrained", folder)
    require_shape(config.architectures, ([str], None), folder / "config.json", "architectures")
    classifies = any(CLASSIFIER in name for name in config.architectures or ())
    with damage_as_error(folder / PROCESSOR, "the settings of an image processor"):
        prepared = _preprocessing(uri, folder)
    module, unused = _network(uri, folder, config, classifies=classifies)
    encoder = open_module(
        uri if classifies else uri.replace(head=uri.options.get("head", "none")),
        module,
        execution,
        preprocessing=prepared,
        call=_logits if classifies else _pooling(uri),
    )
    notes = _check_used(unused, module, config, uri, classifies=classifies)
    encoder = replace(encoder, uri=str(uri), notes=encoder.notes + notes)
    # Some mask a part of the image at random, in eval mode too.
    check_repeatable(encoder, module, where=uri.where)
    return encoder


def _auto(uri: EncoderUri, name: str, method: str, *arguments: Any, **options: Any) -> Any:
    """Return what a method of one of transformers' Auto classes returns."""
    transformers: Any = import_extra("transformers", EXTRA)
    return attempt(
        uri,
        # Its classes are imported when they are first named, which may fail too.
        lambda: getattr(getattr(transformers, name), method)(
            *arguments, trust_remote_code=False, **options
        ),
    )


def _network(
    uri: EncoderUri, folder: Path, config: Any, *, classifies: bool
) -> tuple[Any, list[str]]:
    """Return the network in float32 with the weights asked for, and names of those it leaves unused."""
    auto = "AutoModelForImageClassification" if classifies else "AutoModel"
    own = _projection(uri, config)
    weights = asked_weights(uri)
    if "weights" in uri.options:

        def make() -> Any:
            return attempt(uri, own, config) if own else _auto(uri, auto, "from_config", config)

        module = fresh(make, weights.seed).float()
        if weights.file is not None:
            load_strict(module, read_state(weights.file), where=uri.where)
        return module, []
    module, report = _auto(
        uri,
        own.__name__ if own else auto,
        "from_pretrained",
        folder,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    _check_complete(sorted(report["missing_keys"]), uri)
    return module.float(), sorted(report["unexpected_keys"])


def _projection(uri: EncoderUri, config: Any) -> Any | None:
    """Return the class of a network that ends in a projection, which no Auto class makes, or None."""
    names = [name for name in config.architectures or () if name.endswith(PROJECTION)]
    transformers: Any = import_extra("transformers", EXTRA)
    return attempt(uri, getattr, transformers, names[0], None) if names else None


def _check_used(
    unused: list[str], module: Any, config: Any, uri: EncoderUri, *, classifies: bool
) -> tuple[str, ...]:
    """Return a note about weights of the file that have no part in the network, if there are any.

    They are an error where they may be a part of the features, unless the URI asks for features
    without them. A classifier of the class that the file is of makes its own logits all the same,
    whatever else was left in the file.
    """
    if not unused:
        return ()
    own, named = type(module).__name__, config.architectures or ()
    held = f"holds {counted(len(unused), 'weight')}, such as {unused[0]}, that {own} does not use"
    if (classifies and own in named) or uri.options.keys() & {"layer", "pool"}:
        return (f"{uri.where}: its file {held}",)
    raise InputError(
        f"{uri.where}: its file is of {', '.join(named) or 'another class'} and {held}; give pool=mean "
        "or pool=first for the last hidden state, or layer=NAME, to go without them"
    )


def _check_complete(missing: list[str], uri: EncoderUri) -> None:
    """Raise when weights were missing, which transformers draws at random."""
    if uri.options.keys() & {"layer", "pool"}:
        # A pooler that nobody asks for may be absent, as in many networks without labels.
        missing = [name for name in missing if "pooler" not in name.split(".")]
    if missing:
        hint = "; give pool=mean or pool=first" if "pooler" in missing[0].split(".") else ""
        raise InputError(
            f"{uri.where}: its file lacks {counted(len(missing), 'weight')} of the network, such as "
            f"{missing[0]}{hint}"
        )


def _preprocessing(uri: EncoderUri, folder: Path) -> Preprocessing:
    """Return the preprocessing of the image processor under the options of the URI."""
    if not any((folder / name).is_file() for name in PROCESSORS):
        absent = [key for key in NEEDED if key not in uri.options]
        if absent:
            raise InputError(
                f"{uri.where}: holds no {PROCESSOR}; put it there, or give "
                f"{', '.join(f'{key}=' for key in absent)}"
            )
        return preprocessing(uri, defaults={})
    processor = _auto(uri, "AutoImageProcessor", "from_pretrained", folder, backend="pil")
    defaults = processor_options(processor, uri.options.keys(), uri.where)
    prepared = preprocessing(uri, defaults=defaults)
    if not uri.options.keys() & set(OPTIONS):
        check_processor(processor, prepared, uri.where)
    return prepared


def _logits(module: Any, batch: Any) -> Any:
    return module(pixel_values=batch, return_dict=True).logits


def _pooling(uri: EncoderUri) -> Callable[[Any, Any], Any]:
    """Return the function to a network's pooled output, or its last hidden state with `pool`."""
    whole = "pool" in uri.options

    def run(module: Any, batch: Any) -> Any:
        # Of networks that read texts too.
        images = getattr(module, "get_image_features", module)
        output = images(pixel_values=batch, return_dict=True)
        names = ("image_embeds", "pooler_output")
        found = (getattr(output, name, None) for name in names if not whole)
        pooled = next((value for value in found if value is not None), None)
        if pooled is not None:
            return pooled.flatten(1)
        if not whole:
            msg = "it has no pooled output; give pool=mean or pool=first"
            raise ValueError(msg)
        return output.last_hidden_state

    return run
