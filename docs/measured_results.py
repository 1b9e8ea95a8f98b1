"""Write docs/results.md from what the runs left in results/: no number is typed by hand.

    python docs/measured_results.py --commit COMMIT      # whose code trained what is in results/

Every data set that has been run (simulated, gz2, gz1) gets its section anew, those of others stay as they were; so do
the lines of docs/measured_few_labels.tsv, which keeps what sweeps of each commit measured.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxalign.evaluate.embeddings import Embeddings, read_embeddings
from galaxalign.evaluate.evaluation import class_scores
from galaxalign.evaluate.metrics import confusion, macro_f1

RESULTS = Path("results")
PAGE = Path("docs/results.md")
KEPT = Path("docs/measured_few_labels.tsv")
# Members of sweeps, RUN-LABELS-SEED.
MEMBER = re.compile(r"-(\d+|all)-\d+$")
COMMAND = "snakemake --cores 2 --configfile config/{}.yaml config/few_labels.yaml config/measured.yaml"
DATASETS = {
    "simulated": ("A simulated survey", "make run"),
    "gz2": ("Galaxy Zoo 2", COMMAND.format("gz2")),
    "gz1": ("Galaxy Zoo 1", COMMAND.format("gz1")),
}
TIMES = "Time of the jobs:"
RESAMPLINGS = 2000


def interval(number: dict[str, float]) -> str:
    return f"{number['value']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"


def metrics_of(dataset: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((RESULTS / dataset).glob("*/metrics.json"))]


def class_table(dataset: str, metrics: dict) -> Iterator[str]:
    manifest = pd.read_parquet(RESULTS / dataset / "manifest.parquet")
    rejects = pd.read_csv(RESULTS / dataset / "rejects.tsv", sep="\t")
    yield "| class | galaxies | train | validation | test |"
    yield "|---|---|---|---|---|"
    for label in metrics["classes"]:
        numbers = [metrics["counts"][split][label] for split in ("train", "validation", "test")]
        yield f"| {label} | {sum(numbers)} | {' | '.join(map(str, numbers))} |"
    yield ""
    yield (
        f"{len(manifest)} galaxies in all; {manifest['label'].isna().sum()} belong to no class; "
        f"{len(rejects)} rejected ({', '.join(sorted(set(rejects['flag']))) or 'none'})."
    )


def run_table(runs: list[dict]) -> Iterator[str]:
    best = f"mAP@{max(int(key.partition('@')[2]) for key in runs[0]['retrieval']['galaxy'])}"
    yield f"| run | by | accuracy | macro-F1 | search by galaxy, {best} | by symbol | by text |"
    yield "|---|---|---|---|---|---|---|"
    for metrics in runs:
        found = [metrics["retrieval"].get(kind) for kind in ("galaxy", "symbol", "text")]
        for place, (method, measured) in enumerate(metrics["classification"].items()):
            star = " *" if method == metrics["classifier"] else ""
            search = [interval(item[best]) if item and not place else "" for item in found]
            yield (
                f"| {metrics['run']} | {method}{star} | {interval(measured['accuracy'])} "
                f"| {interval(measured['macro_f1'])} | {' | '.join(search)} |"
            )


def weakest_and_best(runs: list[dict]) -> Iterator[str]:
    for metrics in runs:
        recall = metrics["classification"][metrics["classifier"]]["recall"]
        order = sorted(recall, key=lambda label: recall[label]["value"])
        yield (
            f"* {metrics['run']}: weakest {order[0]} {interval(recall[order[0]])}, "
            f"best {order[-1]} {interval(recall[order[-1]])}"
        )


def predicted(embeddings: Embeddings, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return class_scores(embeddings)[embeddings.classifier][rows].argmax(1)


def paired_gains(dataset: str, runs: list[dict]) -> Iterator[str]:
    """Macro-F1 of galaxalign minus image_only, the same galaxies and seed resampled together."""
    names = {metrics["run"] for metrics in runs}
    for run in sorted(names):
        other = run.replace("galaxalign", "image_only")
        if not run.startswith("galaxalign") or other not in names or MEMBER.search(run):
            continue
        pair = [read_embeddings(RESULTS / dataset / name / "embeddings.h5") for name in (run, other)]
        rows = pair[0].galaxies.rows("test")
        truth, classes = pair[0].galaxies.label[rows], len(pair[0].classes)
        answers = [predicted(embeddings, rows) for embeddings in pair]
        generator = np.random.default_rng(0)
        gains = []
        for _ in range(RESAMPLINGS):
            draw = generator.integers(len(rows), size=len(rows))
            ours, theirs = (float(macro_f1(confusion(truth[draw], answer[draw], classes))) for answer in answers)
            gains.append(ours - theirs)
        ours, theirs = (float(macro_f1(confusion(truth, answer, classes))) for answer in answers)
        low, high = np.percentile(gains, [2.5, 97.5])
        yield f"* {run} over {other}: {100 * (ours - theirs):+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def keep_few_labels(commit: str) -> None:
    """Put the rows of all sweeps in results/ among those measured so far; they replace those of the same commit."""
    key = ["dataset", "labels", "run", "over", "commit"]
    found = [read_table(path).assign(commit=commit) for path in sorted((RESULTS / "tables").glob("*/few_labels.tsv"))]
    rows = pd.concat([read_table(KEPT), *found]).drop_duplicates(key, keep="last").sort_values(key, key=order)
    rows.to_csv(KEPT, sep="\t", index=False, float_format="%.6g")


def read_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype={"labels": str, "commit": str})


def order(values: pd.Series) -> pd.Series:
    """Numbers of labels by size, `all` last; other columns by name."""
    return pd.to_numeric(values.replace("all", "inf")) if values.name == "labels" else values


def few_labels(dataset: str) -> Iterator[str]:
    """Runs repeated with fewer labels and other seeds, if the data set has them; a line a run, labels and commit."""
    rows = read_table(KEPT)
    rows = rows[rows["dataset"] == dataset]
    if rows.empty:
        return
    yield "\n### Few labels, macro-F1 by the run's own classifier; gains in points, paired by galaxy and seed [95 %]\n"
    yield "| run | labels a class | trained on | commit | seeds | mean | sd | weakest seed | best seed | gains |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for _, same in rows.groupby(["labels", "run", "commit", "seeds"], sort=False):
        row = same.iloc[0]
        gains = [
            f"{other.gain:+.1f} [{other.gain_low:+.1f}, {other.gain_high:+.1f}] over {other.over}"
            for other in same.itertuples()
            if not pd.isna(other.gain)
        ]
        sd = "" if pd.isna(row["macro_f1_sd"]) else f"{row['macro_f1_sd']:.3f}"
        yield (
            f"| {row['run']} | {row['labels']} | {row['trained_on']} | `{row['commit']}` | {row['seeds']} "
            f"| {row['macro_f1']:.3f} | {sd} | {row['macro_f1_weakest']:.3f} | {row['macro_f1_best']:.3f} "
            f"| {'; '.join(gains)} |"
        )


def times(dataset: str) -> Iterator[str]:
    spent: dict[str, float] = {}
    for path in sorted((RESULTS / "benchmarks").glob(f"*/{dataset}*")):
        files = [path] if path.suffix == ".tsv" else sorted(path.glob("*.tsv"))
        for file in files if path.stem == dataset else ():
            run = MEMBER.sub(" (sweeps)", file.stem)
            name = path.parent.name if path.is_file() else f"{path.parent.name} {run}"
            spent[name] = spent.get(name, 0.0) + float(pd.read_csv(file, sep="\t")["s"].iloc[0])
    yield ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items() if seconds >= 5)
    yield f"\nAll jobs together: {sum(spent.values()) / 60:.1f} minutes."


def section(dataset: str) -> Iterator[str]:
    title, command = DATASETS[dataset]
    runs = metrics_of(dataset)
    if not runs:
        yield from kept_section(dataset, title)
        return
    yield f"\n## {title}\n\n    {command}\n"
    yield from class_table(dataset, runs[0])
    yield "\n### Test galaxies, value [95 % interval]; * is the run's own classifier\n"
    yield from run_table([metrics for metrics in runs if not MEMBER.search(metrics["run"])])
    yield "\nRecall of the weakest and the best class, by the run's own classifier:\n"
    yield from weakest_and_best(runs)
    gains = list(paired_gains(dataset, runs))
    if gains:
        yield "\nGain in macro-F1, paired by galaxy and seed, 95 % bootstrap interval:\n"
        yield from gains
    yield from few_labels(dataset)
    yield f"\n{TIMES}\n"
    yield from times(dataset)


def kept_section(dataset: str, title: str) -> Iterator[str]:
    """The section of a data set as the page has it, but for what sweeps measured."""
    _, found, after = PAGE.read_text().partition(f"\n## {title}\n")
    if found:
        section, _, _ = after.partition("\n## ")
        runs, _, spent = section.partition(TIMES)
        yield found + runs.partition("\n### Few labels")[0].rstrip("\n")
        yield from few_labels(dataset)
        yield "\n" + TIMES + spent.rstrip("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", required=True)
    keep_few_labels(parser.parse_args().commit)
    lines = [line for dataset in DATASETS for line in section(dataset)]
    PAGE.write_text(Path("docs/results_head.md").read_text() + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
