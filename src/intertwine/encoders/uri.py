"""Encoder URIs: `scheme:path?key=value&key=value`, such as `onnx:net.onnx?channels=bgr`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Characters that stand for themselves in an option's value.
_PLAIN = "/,:._-+"


@dataclass(frozen=True)
class EncoderUri:
    """Where an encoder comes from, and the options it is opened with."""

    scheme: str
    # Usually of a file; with `named` the name of a network.
    path: str
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    named: bool = False

    @classmethod
    def parse(cls, text: str) -> EncoderUri:
        """Return the URI that a text spells."""
        scheme, colon, rest = text.partition(":")
        path, _, query = rest.partition("?")
        if not colon or not scheme or not path:
            raise InputError(
                f"got encoder {text!r}, expected SCHEME:PATH?OPTION=VALUE&…, "
                "such as onnx:net.onnx?channels=bgr"
            )
        options: dict[str, str] = {}
        for part in query.split("&") if query else []:
            key, equals, value = part.partition("=")
            if not equals or not key or not value:
                raise InputError(f"encoder {text}: got option {part!r}, expected OPTION=VALUE")
            if key in options:
                raise InputError(f"encoder {text}: option {key} stands twice; give it once")
            options[key] = unquote(value, errors="surrogateescape")
        return cls(scheme, path, MappingProxyType(options))

    def __str__(self) -> str:
        query = "&".join(f"{key}={_quoted(value)}" for key, value in self.options.items())
        return f"{self.scheme}:{self.path}" + (f"?{query}" if query else "")

    @property
    def name(self) -> str:
        """Name of the space: the option `name`, or what the network or the file is called."""
        if "name" in self.options:
            return self.options["name"]
        own = Path(self.path)
        return re.sub(r"[^A-Za-z0-9._-]+", "-", own.name) if self.named else own.stem

    @property
    def where(self) -> str:
        """What to call the encoder in an error."""
        return f"encoder {self.scheme}:{self.path}"

    def replace(self, **options: str) -> EncoderUri:
        """Return the same URI with some options set."""
        return replace(self, options=MappingProxyType({**self.options, **options}))

    def replace_all(self, options: Mapping[str, str]) -> EncoderUri:
        """Return the same URI with other options in place of its own."""
        return replace(self, options=MappingProxyType(dict(options)))

    def absolute(self, *path_options: str) -> EncoderUri:
        """Return the same URI with its path, unless it is a name, and such options made absolute."""
        options = {
            key: absolute_path(value) if key in path_options else value
            for key, value in self.options.items()
        }
        path = self.path if self.named else absolute_path(self.path)
        return replace(self, path=path, options=MappingProxyType(options))

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """Return an option that is one of a few words; the first is its default."""
        value = self.options.get(key, choices[0])
        if value not in choices:
            raise InputError(
                f"{self.where}: got {key}={value}, expected one of {', '.join(choices)}"
            )
        return value

    def numbers(self, key: str, *, count: int) -> tuple[float, ...] | None:
        """Return an option of one or `count` numbers as `count` numbers, or None when absent.

        Numbers may be fractions, as in `scale=1/255`.
        """
        value = self.options.get(key)
        if value is None:
            return None
        try:
            numbers = tuple(float(Fraction(part.strip())) for part in value.split(","))
        except (ValueError, ZeroDivisionError, OverflowError):
            numbers = ()
        if len(numbers) not in {1, count}:
            several = f" or {count} with commas" if count > 1 else ""
            raise InputError(f"{self.where}: got {key}={value}, expected one number{several}")
        return numbers * count if len(numbers) == 1 else numbers

    def size(self, key: str) -> tuple[int, int] | None:
        """Return an option such as `224` or `224x192` (height x width), or None when absent."""
        value = self.options.get(key)
        if value is None:
            return None
        parts = value.split("x")
        if len(parts) > 2 or not all(is_count(part) and 0 < int(part) < 65536 for part in parts):
            raise InputError(
                f"{self.where}: got {key}={value}, "
                "expected pixels such as 224 or 224x192 (height x width)"
            )
        return int(parts[0]), int(parts[-1])


def absolute_path(path: str) -> str:
    """Return a path from the root, `~` as the user's folder, without `..`.

    Links are kept, since their names name spaces.
    """
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - resolve() follows links


def _quoted(value: str) -> str:
    # Names of files may be any bytes.
    return quote(value, _PLAIN, errors="surrogateescape")
