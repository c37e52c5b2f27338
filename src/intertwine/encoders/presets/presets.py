"""Named sets of encoders whose weight files are looked up in one folder, and the list of them all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.encoders.presets.paper_faces import PAPER_FACES
from intertwine.encoders.presets.paper_imagenet import PAPER_IMAGENET
from intertwine.encoders.registry import SCHEMES
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
    files = [(encoder, encoder.find(where)) for encoder in PRESETS[name]]
    missing = [encoder for encoder, path in files if path is None and encoder.needs_file]
    if missing:
        wanted = "; ".join(
            f"{' or '.join(encoder.files)} ({encoder.name}) from the {encoder.source}"
            for encoder in missing
        )
        raise InputError(
            f"preset {name}: {where} lacks {wanted}. Put the files there, or name another folder "
            f"with --weights or {WEIGHTS_VARIABLE}"
        )
    return [encoder.uri(_checked(encoder, path)) for encoder, path in files]


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


def list_encoders(weights: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return the schemes and presets, whose files lie in the folder of `weights_folder(weights)`.

    `schemes`: `scheme`, `opens`, `summary`, `extra`, `options`. `presets`: `preset` and `encoders`,
    each with `name`, `summary`, `scheme`, `uri`, `dim`, `input_size`, `parameters`, `files`
    (SHA-256, or null where any bytes will do, by name), `found` (the file there is, or null),
    `fetched` (whether the network's own library fetches the weights, no file being there),
    `source`, `licence`. `weights`: the folder.
    """
    folder = weights_folder(weights)
    return {
        "schemes": [
            {
                "scheme": name,
                "opens": scheme.opens,
                "summary": scheme.summary,
                "extra": scheme.extra,
                "options": scheme.known,
            }
            for name, scheme in SCHEMES.items()
        ],
        "presets": [
            {"preset": name, "encoders": [_facts(encoder, folder) for encoder in encoders]}
            for name, encoders in PRESETS.items()
        ],
        "weights": str(folder),
    }


def _facts(encoder: PresetEncoder, folder: Path) -> dict[str, Any]:
    file = encoder.find(folder)
    # The first of its files, where it cannot be opened without one.
    wanted = folder / next(iter(encoder.files)) if encoder.needs_file else None
    return {
        "name": encoder.name,
        "summary": encoder.summary,
        "scheme": encoder.scheme,
        "uri": encoder.uri(file or wanted),
        "dim": encoder.dim,
        "input_size": list(encoder.input_size),
        "parameters": encoder.parameters,
        "files": dict(encoder.files),
        "found": None if file is None else str(file),
        "fetched": file is None and not encoder.needs_file,
        "source": encoder.source,
        "licence": encoder.licence,
    }
