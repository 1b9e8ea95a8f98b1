import json
from pathlib import Path

import pytest

from benchmarks.material import CLASSES, galaxy_zoo_1
from benchmarks.measuring import Measured, alternately, ratios, write
from benchmarks.rendering import TARGETS, arms_of
from benchmarks.report import page
from galaxalign.symbols.living import LivingSymbols
from galaxalign.symbols.sheet import read_sheet


def test_the_page_has_the_numbers_and_says_which_targets_were_missed(tmp_path: Path) -> None:
    measured = [
        Measured("Share", "small", "", [1.5, 1.0, 1.2], "<= 1.25"),
        Measured("Share", "large", "", [1.3, 1.31, 1.34], "<= 1.25"),
        Measured("Rate", "alone", "1/s", [43.2], None),
    ]
    write(tmp_path / "steps.json", measured, settings={"size": 112}, skipped={"a loop": "it is not installed"})
    written = page(tmp_path)
    assert "| small | 1.2 [1, 1.5] | 3 | <= 1.25 | reached |" in written
    assert "| large | 1.31 [1.3, 1.34] | 3 | <= 1.25 | **missed** |" in written
    assert "| Rate | 1/s | rounds |" in written
    assert "| alone | 43.2 [43.2, 43.2] | 1 |" in written
    assert "size: 112." in written
    assert "Not measured: a loop, it is not installed." in written
    assert json.loads((tmp_path / "steps.json").read_text())["command"] == "python -m benchmarks steps"


def test_arms_take_turns_and_ratios_are_of_one_round() -> None:
    order: list[str] = []

    def arm(name: str, seconds: float) -> dict[str, float]:
        order.append(name)
        return {"seconds": seconds * (1 + len(order) // 3)}

    found = alternately({"a": lambda: arm("a", 2.0), "b": lambda: arm("b", 1.0)}, 2)
    assert order == ["a", "b", "b", "a"]
    assert ratios(found["a"]["seconds"], found["b"]["seconds"]) == pytest.approx([2.0, 2.0])


def test_real_galaxies_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GALAXALIGN_REAL_DATA", raising=False)
    assert galaxy_zoo_1() is None
    monkeypatch.setenv("GALAXALIGN_REAL_DATA", str(tmp_path))
    assert galaxy_zoo_1() is None
    (tmp_path / "gz1").mkdir()
    assert galaxy_zoo_1() == tmp_path / "gz1"


def test_the_pen_and_living_symbols_are_both_measured() -> None:
    arms = arms_of(LivingSymbols(read_sheet(CLASSES), None, 64), 2)
    assert list(arms) == list(TARGETS)
    assert all(arm()["1/s"] > 0 for arm in arms.values())
