"""A copy of the workflow to run in, and small settings."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PARTS = ("Snakefile", "config", "workflow", "galaxalign", "profiles")

# Small enough for minutes on two cores; every rule runs as it always does.
SMALL = {
    "data": {"size": 64},
    "symbols": {"variants": 2},
    "recipe": {
        "backbone": {"size": 48},
        "stages": {"shared": {"epochs": 1, "symbol_views": 1}, "symbol": {"epochs": 1}},
    },
    "runs": {"image_only": {"stages": {"shared": {"epochs": 2}}}},
    "evaluate": {"bootstrap": 100, "top_k": [1, 5], "probe": [0.1]},
}


def copy_workflow(folder: Path) -> Path:
    """The parts of the checkout that the workflow needs, without anything made."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


def write_overlay(path: Path, settings: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump(settings))
    return path


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the workflow, as a user would; its output is stdout and stderr together."""
    environment = os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": str(min(2, os.cpu_count() or 1))}
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="session")
def workflow(tmp_path_factory) -> Callable[[str], Path]:
    """Makes copies of the workflow by name."""

    def make(name: str) -> Path:
        return copy_workflow(tmp_path_factory.mktemp(name))

    return make
