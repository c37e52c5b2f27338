"""Folders of networks as transformers saves them: named by a path, or fetched by name."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intertwine.encoders.uri import EncoderUri

ADAPTER = "adapter_config.json"
# No pickles and no code: only these are fetched.
PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")


def model_folder(
    uri: EncoderUri,
    *,
    extra: str,
    needs: Sequence[str],
    takes: Sequence[str] = (),
    owner: str | None = None,
) -> Path:
    """Return the folder of files that a URI means, fetched first where it is a name.

    It must hold the files of `needs`; those of `takes` are read as well. A name without `/` is a
    repository of `owner`, and `extra` installs the library that fetches. A folder with an adapter
    to a network is refused, since the adapter would be left out.
    """
    files = ", ".join([*needs, *takes])
    if not uri.named:
        folder = Path(uri.path)
        if not folder.is_dir():
            raise InputError(f"{uri.where}: is a file, expected a folder of {files}")
    else:
        name = f"{owner}/{uri.path}" if owner and "/" not in uri.path else uri.path
        folder = _fetched(name, uri, extra, files)
    adapters = [folder / ADAPTER, *sorted(folder.glob(f"*_*/{ADAPTER}"))]
    adapter = next((path for path in adapters if path.is_file()), None)
    if adapter is not None:
        raise InputError(
            f"{uri.where}: holds an adapter ({adapter.relative_to(folder)}), which is not put on the "
            "network here; merge it with peft's merge_and_unload() and save the whole network"
        )
    absent = [name for name in needs if not _holds(folder, name)]
    if absent:
        raise InputError(
            f"{uri.where}: holds no {absent[0]}, expected a folder of {files}; no other kind of "
            "file is read, since nothing is unpickled"
        )
    return folder


def _holds(folder: Path, name: str) -> bool:
    """Return whether a folder holds a file, or its parts and their index."""
    return (folder / name).is_file() or (folder / f"{name}.index.json").is_file()


def _fetched(name: str, uri: EncoderUri, extra: str, files: str) -> Path:
    hub: Any = import_extra("huggingface_hub", extra)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(PATTERNS)))
    except Exception as error:
        raise InputError(
            f"{uri.where}: no such folder here, and repository {name} cannot be fetched "
            f"({type(error).__name__}); put its {files} in a folder and open {uri.scheme}:FOLDER"
        ) from error


def attempt(uri: EncoderUri, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function that reads a network, quietly; its failure is an error of one line."""
    try:
        with _quiet():
            return function(*arguments, **options)
    except Exception as error:
        # Where a class cannot be imported, the error underneath explains why.
        cause = (isinstance(error, ImportError) and error.__cause__) or error
        first = str(cause).strip().partition("\n")[0]
        raise InputError(
            f"{uri.where}: cannot be read ({type(cause).__name__}: {first})"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and from reporting what is checked here."""
    log: Any = import_extra("transformers.utils.logging", "transformers")
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with _without_output():
            yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


@contextmanager
def _without_output() -> Iterator[None]:
    """Hold back standard output: the tokenizers' own code writes what a file holds straight to it."""
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        # It is closed, so that nothing can be written there.
        yield
        return
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
