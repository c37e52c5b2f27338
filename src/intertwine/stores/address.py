"""Addresses of stores, `scheme:place?option=value#part`, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
SECRET_OPTIONS = ("password", "api_key")


@dataclass(frozen=True)
class Address:
    """An address of a store.

    Parameters
    ----------
    scheme
        The kind of store.
    place
        Where it is: a path, or `//user:password@host/…`.
    options
        Values by name.
    part
        What stands behind `#`, or nothing.
    before
        Whether files are to be shown as they were before a switch, as a rollback needs them.
    """

    scheme: str
    place: str
    options: dict[str, str]
    part: str
    before: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a text spells.

        Raises
        ------
        InputError
            Where there is no scheme or place; the text, which may hold a password, is not shown.
        """
        scheme, colon, rest = text.partition(":")
        rest, _, part = rest.partition("#")
        place, _, query = rest.partition("?")
        if not colon or not scheme or not place:
            raise InputError(
                f"got a store without a scheme or a place ({len(text)} characters), expected such as "
                "pgvector://host/database?table=items&column=embedding, qdrant://host:6333/items, "
                "lancedb:folder#table, faiss:items.index or parquet:items.parquet#embedding"
            )
        try:
            options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError:
            raise InputError(
                f"got a {scheme} store whose options are not NAME=VALUE&…; write "
                f"{scheme}:PLACE?NAME=VALUE&NAME=VALUE"
            ) from None
        return cls(scheme, place, options, unquote(part))

    def beside(self, text: str) -> Address:
        """Return the address of a target in this kind of store.

        Raises
        ------
        InputError
            For another kind: payload would get lost on the way.
        """
        other = Address.parse(text)
        if other.scheme != self.scheme:
            raise InputError(
                f"got a target of kind {other.scheme}, expected {self.scheme} as the source: a "
                "migration stays in one kind of store, where payload cannot get lost"
            )
        return other

    def take(self, name: str, default: str | None = None) -> str:
        """Return an option, and require it unless there is a default.

        Raises
        ------
        InputError
            Where it is missing.
        """
        value = self.options.get(name, default)
        if not value:
            raise InputError(f"{self.shown}: has no {name}; add {name}=…")
        return value

    def only(self, *names: str) -> None:
        """Raise when there is an option beside some.

        Raises
        ------
        InputError
            Naming it.
        """
        unknown = [name for name in self.options if name not in names]
        if unknown:
            raise InputError(
                f"{self.shown}: got option {unknown[0]!r}, expected {', '.join(names) or 'none'}"
            )

    @property
    def password(self) -> str | None:
        """The password, if it has one."""
        return _parts(self.place).password

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error may show: the password, as typed and as meant, and keys among the options."""
        found = [self.password, *(self.options.get(name) for name in SECRET_OPTIONS)]
        return tuple({form for secret in found if secret for form in (secret, unquote(secret))})

    @property
    def shown(self) -> str:
        """The address without password and options: what errors and reports may say."""
        parts = _parts(self.place)
        place = self.place
        if parts.password is not None:
            who = f"{parts.username or ''}:{HIDDEN}@{parts.netloc.rpartition('@')[2]}"
            place = urlunsplit(parts._replace(netloc=who))
        return f"{self.scheme}:{place}{'#' + self.part if self.part else ''}"


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets that it may hold."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def one_clean_line(text: str) -> str:
    """Return a text as one line in which nothing steers a terminal."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _parts(place: str) -> SplitResult:
    try:
        parts = urlsplit(place)
        parts.port  # noqa: B018 - a wrong port is found only when it is asked for
    except ValueError:
        raise InputError(
            "got a store whose host or port cannot be read; write //HOST:PORT/…, with [ ] about an "
            "IPv6 address, and % codes for special characters of a password"
        ) from None
    return parts
