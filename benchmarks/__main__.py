"""Measure speed and memory, each benchmark in a process of its own.

`python -m benchmarks` runs all that this machine allows, `python -m benchmarks steps rendering` those named; options
after the names (`--repetitions`, `--batches`, `--results`) are passed to each.  What is measured on Galaxy Zoo 1 is
left out where the environment variable GALAXALIGN_REAL_DATA does not name a folder with its folder gz1.
"""

import argparse
import subprocess
import sys
from itertools import takewhile

import torch

from benchmarks.measuring import ROOT

NAMES = ("ingest", "rows", "store", "steps", "loops", "rendering", "gpu")


def main() -> None:
    """Measure; where one fails the rest is still done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    words = list(takewhile(lambda word: not word.startswith("-") or word in ("-h", "--help"), sys.argv[1:]))
    given, passed = parser.parse_args(words), sys.argv[1 + len(words) :]
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}, only {', '.join(NAMES)}")
    possible = NAMES if torch.cuda.is_available() else tuple(name for name in NAMES if name != "gpu")
    commands = {name: [sys.executable, "-m", f"benchmarks.{name}", *passed] for name in given.names or possible}
    failed = [name for name, command in commands.items() if subprocess.run(command, cwd=ROOT).returncode]
    if failed:
        raise SystemExit(f"error: {', '.join(failed)} failed, see above")


if __name__ == "__main__":
    main()
