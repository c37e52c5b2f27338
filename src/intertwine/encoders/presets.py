"""Named sets of encoders whose weight files are looked up by name in one folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.encoders.registry import with_options
from intertwine.errors import InputError
from intertwine.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTS_VARIABLE = "INTERTWINE_WEIGHTS"


@dataclass(frozen=True)
class PresetEncoder:
    """One network of a preset.

    Parameters
    ----------
    name
        Name of its space.
    summary
        Which network it is.
    scheme
        What opens it.
    options
        Options of its URI, its name left out.
    dim
        Dimension of its features.
    input_size
        Input height and width in pixels.
    parameters
        Number of its weights.
    files
        File names that are looked for, the first found being taken; SHA-256, or None where any
        bytes will do, by name.
    source
        Where the weights come from.
    licence
        Licence of the weights.
    """

    name: str
    summary: str
    scheme: str
    options: Mapping[str, str]
    dim: int
    input_size: tuple[int, int]
    parameters: int
    files: Mapping[str, str | None]
    source: str
    licence: str

    def uri(self, file: str | os.PathLike[str]) -> str:
        """Return the URI that opens it from a file."""
        return with_options(f"{self.scheme}:{file}", name=self.name, **self.options)

    def find(self, folder: Path) -> Path | None:
        """Return its file in a folder, or None where there is none."""
        return next((folder / name for name in self.files if (folder / name).is_file()), None)


_FACENET_SOURCE = "FaceNet project (davidsandberg/facenet), model {}, named as in facenet-pytorch"
_ARCFACE_SOURCE = (
    "arcface-tf2 project (peteryuX/arcface-tf2), checkpoint {0}; "
    "intertwine convert-checkpoint CHECKPOINT {1} --arch {2}"
)

PRESETS: dict[str, tuple[PresetEncoder, ...]] = {
    "paper-faces": (
        PresetEncoder(
            "Model-IC",
            "InceptionResnetV1, centre loss, CASIA-WebFace",
            "facenet",
            {"face": "box:32"},
            512,
            (160, 160),
            23_482_624,
            {
                "facenet_inception_resnet_v1_casia.safetensors": (
                    "760ccb2ab0f6ce58dbd40d358b949679b63eb8a61e5dbadc41062dd432a0732e"
                ),
                "20180408-102900-casia-webface.pt": None,
            },
            _FACENET_SOURCE.format("20180408-102900"),
            "MIT",
        ),
        PresetEncoder(
            "Model-IV",
            "InceptionResnetV1, centre loss, VGGFace2",
            "facenet",
            {"face": "box:32"},
            512,
            (160, 160),
            23_482_624,
            {
                "facenet_inception_resnet_v1_vgg2.safetensors": (
                    "cb245b9700a953502091eb8241795a572740d6ccd9ce2944b24a737b6fa278b1"
                ),
                "20180402-114759-vggface2.pt": None,
            },
            _FACENET_SOURCE.format("20180402-114759"),
            "MIT",
        ),
        PresetEncoder(
            "Model-MM",
            "MobileNetV2, ArcFace, MS-Celeb-1M",
            "arcface",
            {"arch": "mobilenet-v2", "face": "arcface"},
            512,
            (112, 112),
            12_713_728,
            {"arcface_mobilenet_v2.safetensors": None},
            _ARCFACE_SOURCE.format("arc_mbv2", "arcface_mobilenet_v2.safetensors", "mobilenet-v2"),
            "MIT",
        ),
        PresetEncoder(
            "Model-RM",
            "ResNet-50 (version 1), ArcFace, MS-Celeb-1M",
            "arcface",
            {"arch": "resnet-50", "face": "arcface"},
            512,
            (112, 112),
            40_317_440,
            {"arcface_resnet_50.safetensors": None},
            _ARCFACE_SOURCE.format("arc_res50", "arcface_resnet_50.safetensors", "resnet-50"),
            "MIT",
        ),
    ),
}


def weights_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return where the files of presets are looked for.

    Parameters
    ----------
    folder
        The folder, if it was said; else the environment variable `INTERTWINE_WEIGHTS`, else
        `intertwine/weights` in the user's cache folder.
    """
    if folder is not None:
        return Path(folder)
    if said := os.environ.get(WEIGHTS_VARIABLE):
        return Path(said)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "intertwine" / "weights"


def preset_uris(name: str, folder: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the encoder URIs of a preset.

    Parameters
    ----------
    name
        The preset.
    folder
        Where its files lie; see `weights_folder`.

    Raises
    ------
    InputError
        For an unknown preset, or a file that is missing or not the one the preset means.
    """
    if name not in PRESETS:
        raise InputError(f"got preset {name!r}, expected one of {', '.join(PRESETS)}")
    where = weights_folder(folder)
    found = [(encoder, encoder.find(where)) for encoder in PRESETS[name]]
    missing = [encoder for encoder, path in found if path is None]
    if missing:
        wanted = "; ".join(
            f"{' or '.join(encoder.files)} ({encoder.name}) from the {encoder.source}"
            for encoder in missing
        )
        raise InputError(
            f"preset {name}: {where} lacks {wanted}. Put the files there, or name another folder "
            f"with --weights or {WEIGHTS_VARIABLE}"
        )
    return [encoder.uri(_checked(encoder, path)) for encoder, path in found if path is not None]


def _checked(encoder: PresetEncoder, path: Path) -> Path:
    expected, got = encoder.files[path.name], sha256_file(path)
    if expected is not None and got != expected:
        raise InputError(
            f"{path}: its SHA-256 is {got[:16]}…, expected {expected[:16]}… for {encoder.name}; "
            f"open another file as --encoder {encoder.scheme}:{path}"
        )
    return path
