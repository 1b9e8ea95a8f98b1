"""Stage 1 of the library from a store, in a process of its own: `benchmarks.loops` starts it."""

import argparse
from pathlib import Path

from benchmarks.material import recipe, source_of
from galaxalign.align.stages import align_shared


def main() -> None:
    """Train for some steps and leave the histories in a folder."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=Path, required=True)
    options.add_argument("--symbols", type=Path, required=True)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--batch-size", type=int, required=True)
    options.add_argument("--steps", type=int, required=True)
    options.add_argument("--memory", type=float, required=True, help="bytes that pictures may take")
    options.add_argument("--train-text", action="store_true")
    given = options.parse_args()
    chosen = recipe(
        "galaxalign",
        batch_size=given.batch_size,
        epoch_size=given.batch_size * given.steps,
        stages={"shared": {"epochs": 1, "lock": [] if given.train_text else ["text"]}},
    )
    align_shared(
        source_of(given.images, given.symbols, memory=given.memory),
        chosen,
        model=given.folder / "shared.pt",
        history=given.folder / "epochs.tsv",
        steps=given.folder / "steps.tsv",
    )


if __name__ == "__main__":
    main()
