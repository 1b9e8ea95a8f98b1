"""A small catalogue of images, its store, and how often images were read for it."""

from pathlib import Path

import pandas as pd
import pytest

from galaxalign.data import workers
from galaxalign.data.building import build_store
from galaxalign.data.pictures import ImageRecipe
from galaxalign.data.shards import build_shard
from galaxalign.data.store import Store, read_store
from tests.data.synthetic_images import RECIPE, write_jpeg

CLASSES, NAMES = ("round", "edge-on"), ("Round", "Edge-on")


def write_manifest(folder: Path, numbers: list[int], *, label: str = "round", row_group: int = 100) -> pd.DataFrame:
    """A manifest of JPEGs in ``folder/images``, named by number; those that are not there yet are made."""
    (folder / "images").mkdir(exist_ok=True)
    for number in numbers:
        if not (folder / f"images/{number}.jpg").exists():
            write_jpeg(folder / f"images/{number}.jpg", seed=number)
    table = pd.DataFrame(
        {"id": [f"G{number}" for number in numbers], "source": [f"{folder}/images/{number}.jpg" for number in numbers]}
    )
    table["label"] = pd.array([label] * len(numbers), dtype="string")
    table["ra"], table["dec"] = 10.5, 0.25
    table["split"], table["flag"], table["reason"] = "train", "", ""
    table.to_parquet(folder / "manifest.parquet", index=False, row_group_size=row_group)
    return table


def build(
    folder: Path,
    *,
    shards: list[Path] | tuple[Path, ...] = (),
    workers: int = 1,
    max_rejected: float = 0.1,
    recipe: ImageRecipe = RECIPE,
    images: Path | None = None,
) -> Store:
    images = images or folder / "images.h5"
    build_store(
        manifest=folder / "manifest.parquet",
        shards=shards,
        classes=CLASSES,
        names=NAMES,
        recipe=recipe,
        max_blank=0.2,
        max_rejected=max_rejected,
        dataset="mixed",
        workers=workers,
        images=images,
        rejects=folder / "rejects.tsv",
        rejects_if_failed=folder / "logs/images.rejects.tsv",
    )
    return read_store(images)


def shard(folder: Path, name: str, *, size: int, workers: int = 1) -> Path:
    """Make one shard, whose output Snakemake would have removed before."""
    path = folder / f"shards/{name}.h5"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    build_shard(
        manifest=folder / "manifest.parquet",
        shard=path,
        shard_size=size,
        recipe=RECIPE,
        max_blank=0.2,
        workers=workers,
    )
    return path


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The sources of images that this process reads, as they are read."""
    sources: list[str] = []
    make = workers.make_picture

    def noting(source, recipe, max_blank):
        sources.append(source)
        return make(source, recipe, max_blank)

    monkeypatch.setattr("galaxalign.data.workers.make_picture", noting)
    monkeypatch.setattr("galaxalign.data.shards.make_picture", noting)
    return sources
