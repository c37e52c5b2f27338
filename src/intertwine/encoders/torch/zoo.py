"""What zoos of networks share: a wrong name, and published weights that cannot be fetched."""

from __future__ import annotations

import difflib
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from intertwine.errors import InputError, MissingExtraError
from intertwine.extras import import_extra
from intertwine.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from intertwine.encoders.uri import EncoderUri

# Seconds until a hub that does not answer counts as out of reach.
PATIENCE = 5.0
_PORTS = {"http": 80, "https": 443}


def import_zoo(uri: EncoderUri, module: str, extra: str) -> ModuleType:
    """Import a zoo's library.

    One that is not installed, or does not fit the torch that is there, is an error of one line.
    """
    try:
        return import_extra(module, extra)
    except MissingExtraError:
        raise
    except (ImportError, OSError, RuntimeError) as error:
        raise InputError(
            f"{uri.where}: {module} cannot be imported ({one_line(error)}); "
            "install a torchvision that was built for this torch"
        ) from error


def unknown_name(uri: EncoderUri, known: Iterable[str]) -> InputError:
    """Return the error that a zoo has no network of this name, with those named like it."""
    close = difflib.get_close_matches(uri.path, list(known), n=4)
    advice = f"did you mean {', '.join(close)}?" if close else "no name is like it"
    return InputError(f"{uri.where}: {uri.scheme} has no network {uri.path}; {advice}")


def cannot_fetch(uri: EncoderUri, file: str, reason: Exception) -> InputError:
    """Return the error that published weights could not be fetched, and what to do instead.

    Of the reason only the type is shown, since messages name addresses and retries.
    """
    return InputError(
        f"{uri.where}: its published weights, {file}, cannot be fetched "
        f"({type(reason).__name__}); download it elsewhere and give weights=FILE"
    )


@contextmanager
def brief_hub(extra: str) -> Iterator[None]:
    """Make the hub's cache answer at once, inside this context, where the hub is out of reach.

    The hub's library tries again and again for about a minute otherwise.
    """
    constants: Any = import_extra("huggingface_hub.constants", extra)
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _answers(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme in getproxies():
        # Only the proxy knows.
        return True
    try:
        port = parts.port or _PORTS[parts.scheme]
        socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
