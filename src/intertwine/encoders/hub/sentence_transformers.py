"""Text networks of sentence-transformers, in a folder or by the name of their hub repository.

`st:FOLDER?…` or `st:name?…`; a folder is one that sentence-transformers saved, with `modules.json`,
and weights as safetensors. No code from a repository is run, and nothing is unpickled. Embeddings
are as the network gives them, of length 1 where it ends by normalising.

prompt=TEXT           what is put before each text; the name of one of the network's own prompts
                      means that one, `none` no prompt, not even its default
max_tokens=N          tokens kept of each text, instead of the network's own number
weights=random:SEED   fresh weights, as the network's own classes start with

Texts are padded to the longest of those they run with, which moves an embedding in its last bits. So
features are the same to the bit where texts come in the same batches, as they do from an extraction.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.encoders.encoder import Encoder, probe_dim
from intertwine.encoders.hub.model_folder import attempt, model_folder
from intertwine.encoders.preprocessing import TextPreprocessing
from intertwine.encoders.torch.encoder import fresh
from intertwine.encoders.torch.runner import open_device
from intertwine.encoders.torch.weights import sha256_module
from intertwine.encoders.untrained import cannot_redraw
from intertwine.encoders.weights import asked_weights
from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.files import read_json, sha256_file
from intertwine.storage.untrusted import DAMAGE, is_count, require_shape
from intertwine.wording import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from intertwine.encoders.execution import Execution
    from intertwine.encoders.uri import EncoderUri
    from intertwine.numerics.arrays import Array

EXTRA = "texts"
MODULES = "modules.json"
TAKEN = ("config.json", "model.safetensors", "tokenizer.json")
# Where repositories lie that are named without an owner.
OWNER = "sentence-transformers"
# What an embedding depends on beside the weights: the modules, and how a text becomes tokens.
PARTS = (MODULES, "*_*/config.json", "tokenizer.json", "vocab.txt", "*.model")
# Texts that run through a network at once.
PIECE = 32


def open_uri(uri: EncoderUri, execution: Execution) -> Encoder:
    """Open a text network; see `intertwine.encoders.registry.open_encoder`.

    A network that brings code of its own is refused.
    """
    import_extra("sentence_transformers", EXTRA)
    folder = model_folder(uri, extra=EXTRA, needs=(MODULES,), takes=TAKEN, owner=OWNER)
    _check_modules(folder, uri)
    model = _network(uri, folder)
    parts = sorted(path for part in PARTS for path in folder.glob(part))
    digest = sha256_module(
        model, {path.relative_to(folder).as_posix(): sha256_file(path) for path in parts}
    )
    _set_length(model, uri)
    prepared = TextPreprocessing(_prompt(model, uri), _limit(model))
    run = TextRunner(model, prepared.prompt, where=uri.where, execution=execution)
    # As long as asked, so that a length beyond the network's shows now.
    probe = " ".join(["a"] * int(uri.options.get("max_tokens", 1)))
    return Encoder(
        name=uri.name,
        uri=str(uri),
        dim=probe_dim(run(prepared.apply([probe])), where=uri.where, head=None),
        preprocessing=prepared,
        head=None,
        weights_sha256=digest,
        split="sentence_embedding",
        parameters=sum(weight.numel() for weight in model.parameters()),
        precision=execution.precision,
        run=run,
    )


class TextRunner:
    """Texts, a prompt before each, through a sentence-transformers network, a few at once."""

    def __init__(self, model: Any, prompt: str, *, where: str, execution: Execution) -> None:
        torch: Any = import_extra("torch", EXTRA)
        self._torch, self._where, self._prompt = torch, where, prompt
        self._device, self._precision = open_device(execution.device, where), execution.precision
        self.model = model.eval().to(self._device)
        # Torch holds the number of threads by thread; this one is ours. One alone, since a
        # tokenizer cannot be used by two at once.
        self._thread = ThreadPoolExecutor(
            1, "texts", initializer=torch.set_num_threads, initargs=(execution.cores,)
        )

    def __call__(self, texts: list[str]) -> Array:
        """Return the features (n, d) of texts, the prompt before each."""
        return self._thread.submit(self._run, texts).result()

    def _run(self, texts: list[str]) -> Array:
        low = self._precision == "bfloat16"
        try:
            with self._torch.autocast(self._device.type, self._torch.bfloat16, enabled=low):
                features = self.model.encode(
                    # It puts the prompt back; some networks leave its tokens out of their mean.
                    [text.removeprefix(self._prompt) for text in texts],
                    prompt=self._prompt,
                    batch_size=PIECE,
                    show_progress_bar=False,
                    convert_to_tensor=True,
                )
        except (RuntimeError, *DAMAGE) as error:
            raise InputError(
                f"{self._where}: torch cannot run it ({type(error).__name__}: {one_line(error)})"
            ) from error
        return np.asarray(features.float().cpu().numpy())


def _check_modules(folder: Path, uri: EncoderUri) -> None:
    """Raise when the network has modules that the library itself does not: code of its own."""
    modules = read_json(folder / MODULES)
    if isinstance(modules, list):
        require_shape(modules, [{"type": str}], folder / MODULES)
    kinds = [part["type"] for part in modules] if isinstance(modules, list) else []
    foreign = [kind for kind in kinds if kind.partition(".")[0] != "sentence_transformers"]
    if foreign or not kinds:
        raise InputError(
            f"{uri.where}: {MODULES} names {foreign[0] if foreign else 'no modules'}, expected "
            "modules of sentence-transformers; code of a repository is not run"
        )


def _network(uri: EncoderUri, folder: Path) -> Any:
    """Return the network in float32, with the weights that the URI asks for."""
    seed = asked_weights(uri, files=False).seed
    # Its tokenizers warn of every later fork once they have used threads of their own.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    model = attempt(
        uri,
        import_extra("sentence_transformers", EXTRA).SentenceTransformer,
        str(folder),
        device="cpu",
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
    ).float()
    if seed is not None:
        _redraw(model, seed, uri)
    return model


def _prompt(model: Any, uri: EncoderUri) -> str:
    """Return what is put before each text."""
    asked = uri.options.get("prompt", model.default_prompt_name or "none")
    if asked == "none":
        return ""
    return str(model.prompts.get(asked, asked))


def _limit(model: Any) -> int | None:
    """Return how many tokens a network reads; None without a limit, ∞ in a table of words."""
    length = model.max_seq_length
    return None if length is None or length == float("inf") else int(length)


def _set_length(model: Any, uri: EncoderUri) -> None:
    asked = uri.options.get("max_tokens")
    if asked is None:
        return
    # Two of them begin and end a text.
    if not is_count(asked) or int(asked) < 3 or _limit(model) is None:
        raise InputError(
            f"{uri.where}: got max_tokens={asked}, expected a whole number from 3, "
            "of a network that has such a limit"
        )
    model.max_seq_length = int(asked)


def _redraw(model: Any, seed: int, uri: EncoderUri) -> None:
    """Draw a network's weights afresh, each part as its own class starts."""
    base = import_extra("transformers", EXTRA).PreTrainedModel

    def draw(part: Any) -> None:
        if isinstance(part, base):
            part.load_state_dict(type(part)(part.config).state_dict())
        elif hasattr(part, "reset_parameters"):
            part.reset_parameters()
        elif list(part.parameters(recurse=False)):
            raise cannot_redraw(
                uri.where, f"{type(part).__name__}, which has no reset_parameters()"
            )
        else:
            for child in part.children():
                draw(child)

    fresh(lambda: draw(model), seed)
