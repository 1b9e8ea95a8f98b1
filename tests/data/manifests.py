"""A small catalogue, changes to it, and its manifest."""

from dataclasses import replace

import pandas as pd
import pytest

from galaxalign.data.manifest import SplitRule, write_manifest
from galaxalign.data.sources import input_files
from galaxalign.symbols.sheet import read_sheet
from tests.conftest import ROOT

SPLIT = SplitRule(
    group_by="none", radius=60, duplicates=False, fractions={"train": 0.6, "validation": 0.15, "test": 0.25}, seed=0
)
COLUMNS = {"id": "name", "file": "file", "label": "class"}
GZ1 = ["elliptical", "clockwise spiral", "anticlockwise spiral", "edge-on", "merger"]


def sheet(name):
    return read_sheet(ROOT / f"config/morphology/{name}.yaml")


@pytest.fixture
def folder(tmp_path):
    """Forty galaxies of GZ1's five classes as files that are there but never opened, and their catalogue."""
    names = [f"{number:04d}" for number in range(40)]
    for name in names:
        (tmp_path / f"{name}.jpg").touch()
    table = pd.DataFrame({"name": names, "file": [f"{name}.jpg" for name in names], "class": GZ1 * 8})
    table.to_csv(tmp_path / "catalog.csv", index=False)
    return tmp_path


def edit(folder, change):
    change(pd.read_csv(folder / "catalog.csv", dtype=str)).to_csv(folder / "catalog.csv", index=False)


def cell(column, row, value):
    return lambda table: table.assign(**{column: table[column].where(table.index != row, value)})


def manifest_of(folder, *, source=None, name="gz1", split=SPLIT, max_rejected=0.05, columns=COLUMNS, labels="column"):
    """The manifest of a folder; `name` is that of a class sheet, or the sheet itself."""
    settings = {"path": str(folder / "catalog.csv"), "root": str(folder), "columns": columns, "labels": labels}
    source = source or {"catalogue": settings}
    write_manifest(
        source=source,
        inputs=[folder / file for file in input_files(source, str(folder))],
        sheet=sheet(name) if isinstance(name, str) else name,
        split=split,
        bands=("g", "r", "z"),
        max_rejected=max_rejected,
        manifest=folder / "manifest.parquet",
        fingerprints=None,
        rejects_if_failed=folder / "manifest.rejects.tsv",
    )
    return pd.read_parquet(folder / "manifest.parquet")


def unchanged(table):
    return table


def by(rule):
    return {"split": replace(SPLIT, group_by=rule)}
