"""Addresses of stores, `scheme:place?option=value#part`, and how they are shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from intertwine.errors import InputError
from intertwine.storage.untrusted import printable
from intertwine.stores.masking import HIDDEN, forms_of, secrets_of

# What others call pgvector's addresses.
POSTGRES = ("postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2", "psql")
# Only these take a user's name, and only with // in front.
WITH_USER = ("pgvector",)
# Buckets of Azure are written CONTAINER@ACCOUNT.
WITH_CONTAINER = ("abfs", "abfss", "wasb", "wasbs")
# Options whose values may hold a plain @.
MAY_HOLD_AT = ("table", "column", "id", "vector", "user", "options", "application_name", "password")
CODES = (
    "write '@', '/', '?', '#', '%', '[', ']' of a name or password as % codes (%40 %2F %3F %23 %25 "
    "%5B %5D), or leave the password out and set PGPASSWORD"
)
# The scheme of a file by its ending.
_SCHEMES = {
    ".npy": "npy",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".index": "faiss",
    ".faiss": "faiss",
}
_SCHEME = re.compile(r"[a-z][a-z0-9_+.-]*", re.IGNORECASE)
_BUCKET = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BAD_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
# A path of no directory that begins as a user and a password do.
_LOOKS_SECRET = re.compile(r"/?[^/:@]*:.*@", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """An address of a store, taken apart.

    Its place is a path or `//user:password@host/…`, its part what stands behind `#`. `before` opens
    files as they were before a switch, as a rollback needs them.
    """

    scheme: str
    place: str
    options: dict[str, str]
    part: str
    before: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a text spells.

        Where there is no scheme or place, or a password may be read in two ways, the error does not
        show the text.
        """
        scheme, colon, rest = text.partition(":")
        _require_safe(scheme, rest)
        rest, _, part = rest.partition("#")
        place, _, query = rest.partition("?")
        if not colon or not _SCHEME.fullmatch(scheme) or not place:
            raise InputError(
                f"got {_without_scheme(text)}, expected such as npy:items.npy, "
                "parquet:items.parquet#embedding, faiss:items.index, lancedb:folder#table, "
                "qdrant://host:6333/items or pgvector://host/database?table=items&column=embedding"
            )
        options = _options(scheme, query)
        # No shell expands it behind a colon.
        place = os.path.expanduser(place)  # noqa: PTH111 - a name that is nobody's stays as it is
        return cls(scheme, place, options, unquote(part))

    def beside(self, text: str) -> Address:
        """Return the address of a target, which must be in this kind of store.

        Payload would get lost on the way to another.
        """
        other = Address.parse(text)
        if other.scheme != self.scheme:
            raise InputError(
                f"got a target of kind {other.scheme}, expected {self.scheme} as the source: a "
                "migration stays in one kind of store, where payload cannot get lost"
            )
        return other

    def take(self, name: str, default: str | None = None) -> str:
        """Return an option, which must be there unless there is a default."""
        value = self.options.get(name, default)
        if not value:
            raise InputError(f"{self.shown}: has no {name}; add {name}=…")
        return value

    def only(self, *names: str) -> None:
        """Raise when there is an option other than some."""
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
        """What no error may show: the password and keys among the options, in every form."""
        found = [*secrets_of(self.options), *([self.password] if self.password else [])]
        return tuple({form for secret in found for form in forms_of(secret)})

    @property
    def shown(self) -> str:
        """The address without password and options: what errors and reports may say."""
        parts = _parts(self.place)
        place = self.place
        if parts.password is not None:
            who = f"{parts.username or ''}:{HIDDEN}@{parts.netloc.rpartition('@')[2]}"
            place = urlunsplit(parts._replace(netloc=who))
        return printable(f"{self.scheme}:{place}{'#' + self.part if self.part else ''}")


def _without_scheme(text: str) -> str:
    """Return what an address without a scheme is; it is shown only where it is a file's name."""
    ending = os.path.splitext(text)[1]  # noqa: PTH122 - a text, maybe no path
    if ending in _SCHEMES and not set("@:?") & set(text):
        return f"{printable(text)}, a store without a scheme: write {_SCHEMES[ending]}:{printable(text)}"
    return "a store without a scheme or a place"


def _options(scheme: str, query: str) -> dict[str, str]:
    """Return the options behind a question mark."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InputError(
            f"got a {scheme} store whose options are not NAME=VALUE&…; write "
            f"{scheme}:PLACE?NAME=VALUE&NAME=VALUE"
        ) from None
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"got option {name!r} twice, expected one value")
    return dict(pairs)


def _require_safe(scheme: str, rest: str) -> None:
    """Raise where a library may take a secret for something else; the error shows only the scheme."""
    if scheme.lower() in POSTGRES:
        raise InputError(f"got a {scheme}:// address; write pgvector:// in place of {scheme}://")
    if not rest or not _SCHEME.fullmatch(scheme):
        return
    bucket = _BUCKET.match(rest)
    if rest.startswith("//") or bucket:
        _require_safe_authority(scheme, bucket[1].lower() if bucket else "", rest)
    elif scheme in WITH_USER:
        raise InputError(f"got a {scheme} address without //, expected {scheme}://HOST/DATABASE?…")
    elif _LOOKS_SECRET.match(rest) and not _is_there(rest):
        raise InputError(
            f"got a {scheme} address that looks like USER:PASSWORD@HOST, expected a path, with ./ in "
            "front where it has ':' and '@', or // before a host"
        )


def _is_there(rest: str) -> bool:
    """Whether there is a file of the name that an address begins with, however odd that is."""
    return os.path.exists(rest.partition("?")[0].partition("#")[0])  # noqa: PTH110 - never raises


def _require_safe_authority(scheme: str, bucket: str, rest: str) -> None:
    """Raise unless who and where, between // and the next /, can be read in one way only."""
    found = re.fullmatch(
        r"[^/]*//(?P<who>[^/?#]*)(?P<path>[^?#]*)(\?(?P<query>[^#]*))?(#(?P<part>.*))?",
        rest,
        re.DOTALL,
    )
    assert found is not None  # noqa: S101 - every text with // is of this form
    user, at, _ = found["who"].rpartition("@")
    # A name with @ or / in front of the = is a password's rest; so is a ? in a value with @.
    strange = [
        pair
        for pair in (found["query"] or "").split("&")
        if "@" in pair and (pair.partition("=")[0] not in MAY_HOLD_AT or "?" in pair)
    ]
    part = found["part"] or ""
    # A bucket has no port: only where there seems to be one may a key go on behind it.
    apart = bucket and ":" not in found["who"]
    behind = strange or (not apart and ("@" in found["path"] or "@" in part))
    if "@" in user or behind or (part and not bucket):
        raise InputError(
            f"got a {scheme} address with an '@' or '#' that is not where one may be; {CODES}"
        )
    if _BAD_CODE.search(user) or set("[]") & set(user) or not rest.isprintable():
        raise InputError(f"got a {scheme} address with a sign that needs a % code; {CODES}")
    if at and scheme not in WITH_USER and not (bucket in WITH_CONTAINER and ":" not in user):
        raise InputError(
            f"got a {scheme} address with a user or a password before its host; "
            f"{'expected an API key: api_key=…' if scheme == 'qdrant' else 'give keys in the environment'}"
        )


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
