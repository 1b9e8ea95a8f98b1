"""Write docs/results.md: docs/results_head.md, then tables of what the runs left in results/, none typed by hand.

    python docs/measured_results.py --commit COMMIT --plan few_labels    # whose code trained results/, by which plan

Every data set that has been run (simulated, gz2, gz1) gets its section anew, those of others stay as they were; so do
the lines of docs/measured_few_labels.tsv, which keeps what the sweeps of each plan measured.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
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
# Members of sweeps, RUN-LABELS-SEED, but for the first without labels, which stands among the active runs.
MEMBER = re.compile(r"-(?!0-0$)(\d+|all)-\d+$")
COMMAND = "snakemake --cores 2 --configfile config/{}.yaml config/few_labels.yaml"
# Files of config/ with sweeps, and what they are about; `shared_start` is what few_labels.yaml was before.
PLANS = {
    "few_labels": "Few labels",
    "shared_start": "Few labels, before each seed had a rendered start of its own",
    "modalities": "One modality, and published targets",
    "votes_and_matching": "Votes as targets, and what rendered galaxies must be like",
}
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


def recall_table(runs: list[dict]) -> Iterator[str]:
    """Recall of each class by the run's own classifier; of repeated runs the mean over their seeds."""
    repeated: dict[str, list[dict]] = {}
    for metrics in runs:
        member = MEMBER.search(metrics["run"])
        name = metrics["run"][: member.start()] + f", {member[1]} labels" if member else metrics["run"]
        repeated.setdefault(name, []).append(metrics["classification"][metrics["classifier"]]["recall"])
    classes = runs[0]["classes"]
    yield f"| run | seeds | {' | '.join(classes)} |"
    yield "|---" * (len(classes) + 2) + "|"
    for name, found in repeated.items():
        means = [np.mean([recall[label]["value"] for recall in found]) for label in classes]
        yield f"| {name} | {len(found)} | {' | '.join(f'{mean:.2f}' for mean in means)} |"


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


def keep_few_labels(commit: str, plan: str) -> None:
    """Put the rows of all sweeps in results/ among those measured so far; they replace those of the same plan."""
    key = ["dataset", "plan", "labels", "run", "over"]
    tables = [read_table(path) for path in sorted((RESULTS / "tables").glob("*/few_labels.tsv"))]
    found = [table.assign(plan=plan, commit=commit) for table in tables]
    rows = pd.concat([read_table(KEPT), *found]).drop_duplicates(key, keep="last").sort_values(key, key=order)
    rows.to_csv(KEPT, sep="\t", index=False, float_format="%.6g")


def read_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype={"labels": str, "commit": str})


def order(values: pd.Series) -> pd.Series:
    """Numbers of labels by size, `all` last; other columns by name."""
    return pd.to_numeric(values.replace("all", "inf")) if values.name == "labels" else values


def few_labels(dataset: str) -> Iterator[str]:
    """Runs repeated with fewer labels and other seeds, if the data set has them."""
    rows = read_table(KEPT)
    for plan, title in PLANS.items():
        same = rows[(rows["dataset"] == dataset) & (rows["plan"] == plan)]
        if len(same):
            yield f"\n### {title}: macro-F1 by the run's own classifier, mean of the seeds (weakest to best)\n"
            yield from across_labels(same.drop_duplicates(["run", "labels"]), ["run", "commit"], score)
            yield "\nGains in points, paired by galaxy and seed [95 % over galaxies and seeds]:\n"
            yield from across_labels(same[same["gain"].notna()], ["run", "over"], gain)


def across_labels(rows: pd.DataFrame, names: list[str], cell: Callable[[pd.Series], str]) -> Iterator[str]:
    """A table with a line for each of what `names` tell apart, and a column a number of labels."""
    columns = rows[["labels", "trained_on", "seeds"]].drop_duplicates("labels")
    heads = [f"{labels} labels ({trained_on}), {seeds} seeds" for labels, trained_on, seeds in columns.to_numpy()]
    yield f"| {' | '.join(names + heads)} |"
    yield "|---" * (len(names) + len(heads)) + "|"
    for name, same in rows.groupby(names, sort=False):
        cells = {row["labels"]: cell(row) for _, row in same.iterrows()}
        yield f"| {' | '.join([*name, *(cells.get(labels, '') for labels in columns['labels'])])} |"


def score(row: pd.Series) -> str:
    return f"{row['macro_f1']:.3f} ({row['macro_f1_weakest']:.3f} to {row['macro_f1_best']:.3f})"


def gain(row: pd.Series) -> str:
    return f"{row['gain']:+.1f} [{row['gain_low']:+.1f}, {row['gain_high']:+.1f}]"


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
    yield "\nRecall of each class, by the run's own classifier:\n"
    yield from recall_table(runs)
    gains = list(paired_gains(dataset, runs))
    if gains:
        yield "\nGain in macro-F1, paired by galaxy, with its 95 % interval over galaxies:\n"
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
        yield found + runs.partition(f"\n### {next(iter(PLANS.values()))}")[0].rstrip("\n")
        yield from few_labels(dataset)
        yield "\n" + TIMES + spent.rstrip("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--plan", choices=PLANS, required=True)
    given = parser.parse_args()
    keep_few_labels(given.commit, given.plan)
    lines = [line for dataset in DATASETS for line in section(dataset)]
    PAGE.write_text(Path("docs/results_head.md").read_text() + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
