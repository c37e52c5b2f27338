"""Named sets of encoders whose weight files are looked up by name in one folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.encoders.presets.paper_faces import PAPER_FACES
from intertwine.encoders.presets.paper_imagenet import PAPER_IMAGENET
from intertwine.errors import InputError
from intertwine.storage.files import sha256_file

if TYPE_CHECKING:
    from intertwine.encoders.presets.preset import PresetEncoder

WEIGHTS_VARIABLE = "INTERTWINE_WEIGHTS"
PRESETS: dict[str, tuple[PresetEncoder, ...]] = {
    "paper-imagenet": PAPER_IMAGENET,
    "paper-faces": PAPER_FACES,
}


def weights_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return where the files of presets are looked for.

    It is the folder named, else that of the environment variable `INTERTWINE_WEIGHTS`, else
    `intertwine/weights` in the user's cache folder.
    """
    if folder is not None:
        return Path(folder).expanduser()
    if said := os.environ.get(WEIGHTS_VARIABLE):
        return Path(said).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "intertwine" / "weights"


def preset_uris(name: str, folder: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the encoder URIs of a preset, whose files are there and the ones that it means."""
    if name not in PRESETS:
        raise InputError(f"got preset {name!r}, expected one of {', '.join(PRESETS)}")
    where = weights_folder(folder)
    found = [(encoder, encoder.find(where)) for encoder in PRESETS[name]]
    missing = [encoder for encoder, path in found if path is None and encoder.needs_file]
    if missing:
        wanted = "; ".join(
            f"{' or '.join(encoder.files)} ({encoder.name}) from the {encoder.source}"
            for encoder in missing
        )
        raise InputError(
            f"preset {name}: {where} lacks {wanted}. Put the files there, or name another folder "
            f"with --weights or {WEIGHTS_VARIABLE}"
        )
    return [encoder.uri(_checked(encoder, path)) for encoder, path in found]


def _checked(encoder: PresetEncoder, path: Path | None) -> Path | None:
    if path is None:
        return None
    expected, got = encoder.files[path.name], sha256_file(path)
    if expected is not None and got != expected:
        raise InputError(
            f"{path}: its SHA-256 is {got[:16]}…, expected {expected[:16]}… for {encoder.name}; "
            f"open another file as --encoder {encoder.scheme}:{path}"
        )
    return path
