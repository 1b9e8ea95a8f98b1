"""Write docs/performance.md from benchmarks/results: no number is typed by hand.

python -m benchmarks.report
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import HERE, RESULTS, ROOT

PAGE = ROOT / "docs/performance.md"
TITLES = {
    "ingest": "Images to a store",
    "rows": "Memory of a large catalogue",
    "store": "Reading a store",
    "steps": "A step: tri-modal, image-only, published",
    "loops": "A job: the library and open_clip",
    "rendering": "Rendering galaxies from symbols",
    "gpu": "On a GPU",
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(RESULTS))


def page(results: Path) -> str:
    """The page of the benchmarks whose JSON is in a folder."""
    parts = [(HERE / "performance_head.md").read_text().strip()]
    for name, title in TITLES.items():
        path = results / f"{name}.json"
        if path.exists():
            parts.append("\n".join([f"## {title}", "", *_section(json.loads(path.read_text()))]))
    return "\n\n".join(parts) + "\n"


def _section(content: dict[str, Any]) -> Iterator[str]:
    yield f"`{content['command']}`: {_machine(content['environment'])}"
    yield ""
    yield "; ".join(f"{name}: {value}" for name, value in content["settings"].items()) + "."
    for name, reason in content["skipped"].items():
        yield ""
        yield f"Not measured: {name}, {reason}."
    tables: dict[str, list[dict[str, Any]]] = {}
    for one in content["measured"]:
        tables.setdefault(one["table"], []).append(one)
    for title, rows in tables.items():
        aimed = any(row["target"] for row in rows)
        unit = rows[0]["unit"]
        yield ""
        yield f"| {title} | {unit or 'ratio'} | rounds |" + (" target | |" if aimed else "")
        yield "|---|---|---|" + ("---|---|" if aimed else "")
        for row in rows:
            shown = f"| {row['name']} | {_range(row)} | {len(row['values'])} |"
            yield shown + (f" {row['target'] or ''} | {_verdict(row)} |" if aimed else "")


def _machine(environment: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in environment["packages"].items())
    return (
        f"{environment['date']}, commit {environment['commit']}, {environment['cpu']}, {environment['cores']} cores, "
        f"{environment['threads']} threads, load {environment['load']}"
        + (f", {environment['gpu']}" if environment["gpu"] else "")
        + f"; Python {environment['python']}, {packages}."
    )


def _range(row: dict[str, Any]) -> str:
    return f"{row['median']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def _verdict(row: dict[str, Any]) -> str:
    """Whether the median reaches the target."""
    if not row["target"]:
        return ""
    sign, _, number = row["target"].partition(" ")
    reached = row["median"] <= float(number) if sign == "<=" else row["median"] >= float(number)
    return "reached" if reached else "**missed**"


if __name__ == "__main__":
    main()
