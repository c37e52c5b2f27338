"""Texts that may be shown: without secrets, on one line, with nothing that steers a terminal."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from intertwine.storage.untrusted import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN = "***"
# Names of options, settings and environment variables whose values are nobody else's business.
SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|auth|credential", re.IGNORECASE)
_SETTING = re.compile(r"([\w.]+)\s*=\s*(\S+)")
_IN_ADDRESS = re.compile(r"//[^/@]*?:([^@]+)@")
# Shorter values of the environment are words that messages need.
SHORTEST_OF_ENVIRONMENT = 6


def forms_of(secret: str) -> set[str]:
    """Return a secret as it may stand in a text: as typed, as meant, encoded, escaped, on one line."""
    meant = {secret, unquote(secret), unquote_plus(secret)}
    # Arguments of a command may be bytes that are no UTF-8.
    encoded = {
        write(each, errors="surrogateescape") for each in meant for write in (quote, quote_plus)
    }
    encoded |= {quote(each, safe="", errors="surrogateescape") for each in meant}
    escaped = {repr(each)[1:-1] for each in meant}
    every = {each for each in meant | encoded | escaped if each.strip()}
    return every | {" ".join(each.split()) for each in every}


def secrets_of(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets among options: by their names, in settings, in addresses inside them."""
    named = [value for name, value in options.items() if SECRET_NAME.search(name)]
    set_in = [
        value
        for text in options.values()
        for name, value in _SETTING.findall(text)
        if SECRET_NAME.search(name)
    ]
    inside = [found for text in options.values() for found in _IN_ADDRESS.findall(text)]
    return tuple(value for value in (*named, *set_in, *inside) if value)


def secrets_of_environment() -> tuple[str, ...]:
    """Return the values of environment variables whose names say that they are secret."""
    return tuple(
        value
        for name, value in os.environ.items()
        if SECRET_NAME.search(name)
        and len(value) >= SHORTEST_OF_ENVIRONMENT
        and not value.startswith("/")
    )


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets that it may hold, or those of the environment."""
    every = {form for each in (*secrets, *secrets_of_environment()) for form in forms_of(each)}
    # The longest first: one may be a part of another.
    for secret in sorted(every, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def one_clean_line(text: str) -> str:
    """Return a message as one line in which nothing steers a terminal."""
    return printable(" ".join(text.split()))
