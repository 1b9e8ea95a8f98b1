"""What tests share: where real galaxies lie, and no way to a network."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

# A hub tag without a network would fail only after a minute of retries.
os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The workflow's tests first: they take longest, and no process is left alone with them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real galaxies; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("GALAXALIGN_REAL_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip("no real galaxies here: set GALAXALIGN_REAL_DATA to their folder")
    return folder


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The default configuration, not checked yet, where its paths hold."""
    monkeypatch.chdir(ROOT)
    settings: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return settings
