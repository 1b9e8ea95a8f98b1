"""Training on one GPU: galaxies a second, share of the chip's own matrix rate, waiting for data, memory.

Stage 1 by the library's own loop from a store of pictures, in bfloat16.  The matrix rate is that of one large
bfloat16 product, measured in the same process.  The share counts what one galaxy needs in the image tower, its
forward pass three times; symbols, texts and augmentation are left out.
"""

import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.material import Material, make_material, recipe, source_of
from benchmarks.measuring import Measured, options, write
from galaxalign.align.backbones import build_backbone
from galaxalign.align.inputs import read_inputs
from galaxalign.align.model import TriModalModel
from galaxalign.align.training import train_stage

WAITING = "<= 0.05"
# Backbone, weights, picture size.
TOWERS = (("ViT-B-16", "none", 224), ("lite0-minilm", "embedded", 112))
BATCHES = (256, 1024)
# Steps of one repetition.
STEPS = 20
# Side of the large product, and products of one measurement.
SIDE, PRODUCTS = 8192, 50
# A training step does the forward pass's products once more for the weights and once more for the inputs.
PASSES = 3


def main() -> None:
    """Measure and write."""
    given = options(__doc__, BATCHES)
    if not torch.cuda.is_available():
        raise SystemExit("error: there is no CUDA device: run this on a machine with one and a CUDA build of torch")
    device = torch.device("cuda")
    peak = matrix_rate(device, side=SIDE, products=PRODUCTS)
    measured = [Measured("The chip's matrix rate", "bfloat16 product", "TFLOP/s", [peak / 1e12], None)]
    with tempfile.TemporaryDirectory() as folder:
        material = make_material(Path(folder) / "material", count=4096)
        for name, pretrained, size in TOWERS:
            for batch in given.batches:
                backbone: dict[str, str | int] = {"name": name, "pretrained": pretrained, "size": size}
                found = speeds(material, backbone, batch, steps=STEPS, repetitions=given.repetitions, device=device)
                label = f"{name}, {size} px, batch {batch}"
                speed = found["galaxies_per_second"]
                shares = [rate * found["operations"][0] / peak for rate in speed]
                measured += [
                    Measured("Galaxies a second", label, "1/s", speed, None),
                    Measured("Share of the matrix rate", label, "", shares, None),
                    Measured("Share of time spent waiting for data", label, "", found["data_wait"], WAITING),
                    Measured("Peak memory", label, "GB", found["peak_memory_gb"][-1:], None),
                ]
    write(
        given.results / "gpu.json",
        measured,
        settings={"pictures": material.origin, "precision": "bfloat16"},
        skipped={},
    )


def matrix_rate(device: torch.device, *, side: int, products: int) -> float:
    """Operations a second of square bfloat16 products."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(products):
        a @ b
    _finish(device)
    before = time.perf_counter()
    for _ in range(products):
        a @ b
    _finish(device)
    return 2 * side**3 * products / (time.perf_counter() - before)


def speeds(
    material: Material,
    backbone: dict[str, str | int],
    batch: int,
    *,
    steps: int,
    repetitions: int,
    device: torch.device,
) -> dict[str, list[float]]:
    """Columns of the history, an epoch a repetition and one before that is left out; and `operations` a galaxy."""
    chosen = recipe(
        "galaxalign",
        backbone=backbone,
        batch_size=batch,
        epoch_size=batch * steps,
        precision="bfloat16",
        stages={"shared": {"epochs": 1 + repetitions}},
    )
    inputs = source_of(material.images, material.symbols, memory=1e10)
    towers = build_backbone(chosen.backbone, with_text=True)
    model = TriModalModel(towers, temperature=chosen.temperature.start, dropout=chosen.dropout)
    model.freeze_norms(chosen.backbone.size)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.to(device)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        model.eval().features(torch.zeros(1, 3, chosen.backbone.size, chosen.backbone.size, device=device))
    learned = read_inputs(inputs, chosen).material
    epochs = train_stage(model, name="shared", recipe=chosen, material=learned, state=None).epochs[1:]
    columns = ("galaxies_per_second", "data_wait", "peak_memory_gb")
    found = {column: [float(row[column]) for row in epochs] for column in columns}
    return found | {"operations": [float(PASSES * counted.get_total_flops())]}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
