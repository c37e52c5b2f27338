"""The preset `paper-faces`: the paper's four face networks."""

from __future__ import annotations

from intertwine.encoders.presets.preset import PresetEncoder

_FACENET_SOURCE = "FaceNet project (davidsandberg/facenet), model {}, named as in facenet-pytorch"
_ARCFACE_SOURCE = (
    "arcface-tf2 project (peteryuX/arcface-tf2), checkpoint {0}; "
    "intertwine convert-checkpoint CHECKPOINT {1} --arch {2}"
)

PAPER_FACES = (
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
)
