"""One ingestion from a catalogue to a store, manifest and pictures, in a process of its own.

Prints its seconds and the gigabytes that it and its workers held: the largest resident size of each, summed, whether
or not they were largest at once, with what they share counted once a process.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT
from galaxalign.data.building import build_store
from galaxalign.data.manifest import SplitRule, write_manifest
from galaxalign.data.pictures import ImageRecipe
from galaxalign.symbols.sheet import read_sheet

WORKERS = os.cpu_count() or 1
SHEET = ROOT / "config/morphology/gz1.yaml"


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogue", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--data", type=json.loads, required=True)
    given = parser.parse_args()
    start = time.perf_counter()
    _ingest(given.catalogue, given.root, given.data)
    seconds = time.perf_counter() - start
    # The largest of the workers; kilobytes, as Linux counts.
    own, worker = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"s": seconds, "GB": (own + (WORKERS - 1) * worker) * 1024 / 1e9}))


def _ingest(catalogue: Path, root: Path, data: dict[str, Any]) -> None:
    sheet, recipe, folder = read_sheet(SHEET), ImageRecipe.from_dict(data), catalogue.parent
    columns = {"id": "objid"} | {name: name for name in ("file", "label", "ra", "dec")}
    write_manifest(
        source={"catalogue": {"path": str(catalogue), "root": str(root), "columns": columns, "labels": "column"}},
        inputs=[catalogue],
        sheet=sheet,
        split=SplitRule(**data["split"]),
        bands=recipe.stretch.bands,
        max_rejected=data["max_rejected"],
        fingerprints=None,
        manifest=folder / "manifest.parquet",
        rejects_if_failed=folder / "failed.tsv",
    )
    build_store(
        manifest=folder / "manifest.parquet",
        shards=[],
        classes=sheet.labels,
        names=sheet.names,
        recipe=recipe,
        max_blank=data["max_blank"],
        max_rejected=data["max_rejected"],
        dataset="benchmark",
        workers=WORKERS,
        images=folder / "images.h5",
        rejects=folder / "rejects.tsv",
        rejects_if_failed=folder / "failed.tsv",
    )


if __name__ == "__main__":
    main()
