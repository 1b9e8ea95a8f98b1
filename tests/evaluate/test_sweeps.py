"""Gains of runs with few labels, from predictions whose gain is known."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.evaluation import EvaluationSettings, evaluate_run
from galaxalign.evaluate.sweeps import COLUMNS, Judged, SweptRun, gain, read_judged, sweep_table, write_sweep
from tests.synthetic_results import write_embeddings

SETTINGS = EvaluationSettings(split="test", top_k=[1], bootstrap=200, seed=0, probe=[1.0])
TRUTH = np.repeat(np.arange(4), 25)


def member(run, labels, seed, over="none"):
    return SweptRun(run, labels, seed, f"{run}-{labels}-{seed}", over)


def judged(wrong):
    """100 galaxies of four classes; the first `wrong` of each class are given to the next class."""
    predicted = np.where(np.arange(100) % 25 < wrong, (TRUTH + 1) % 4, TRUTH)
    ids = np.array([f"g{n:03}" for n in range(100)])
    return Judged("synthetic", list("abcd"), ids, TRUTH, predicted, trained_on=40)


def row_of(table, run):
    (row,) = table[table["run"] == run].to_dict("records")
    return row


def test_equal_runs_gain_nothing_for_certain():
    members = [member(run, 10, seed, over) for run, over in (("a", "none"), ("b", "a")) for seed in (0, 1)]
    table = sweep_table(members, [judged(5), judged(8)] * 2, SETTINGS)
    assert list(table.columns) == COLUMNS
    row = row_of(table, "b")
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0, 0, 0)
    assert np.isnan(row_of(table, "a")["gain"])


def test_a_known_gain_lies_in_its_interval():
    # Errors that go round all classes alike: macro-F1 is the share of right galaxies.
    members = [member(run, 10, seed, over) for run, over in (("a", "none"), ("b", "a")) for seed in range(4)]
    table = sweep_table(members, [judged(wrong) for wrong in (10, 15, 10, 15, 5, 5, 5, 5)], SETTINGS)
    row = row_of(table, "b")
    assert row["gain"] == pytest.approx(30)
    assert 0 < row["gain_low"] < 22 < 38 < row["gain_high"] < 60
    weaker = row_of(table, "a")
    assert weaker["macro_f1"] == pytest.approx(0.5)
    assert (weaker["macro_f1_weakest"], weaker["macro_f1_best"]) == pytest.approx((0.4, 0.6))
    assert weaker["macro_f1_sd"] == pytest.approx(np.std([0.4, 0.6, 0.4, 0.6], ddof=1))
    assert weaker["trained_on"] == 40


def test_seeds_that_disagree_widen_the_interval():
    how = {"classes": 4, "resamples": 200, "seed": 0}
    theirs = np.stack([judged(10).predicted] * 2)
    alike = gain(TRUTH, np.stack([judged(5).predicted] * 2), theirs, **how)
    apart = gain(TRUTH, np.stack([judged(0).predicted, judged(10).predicted]), theirs, **how)
    assert apart.value == pytest.approx(alike.value)
    assert apart.high - apart.low > alike.high - alike.low


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_where_galaxies_tell_nothing_it_is_students_interval(seeds):
    right, wrong = judged(0).predicted, judged(25).predicted
    theirs = np.stack([right, *[wrong] * (seeds - 1)])
    found = gain(TRUTH, np.stack([right] * seeds), theirs, classes=4, resamples=20000, seed=0)
    gains = np.array([0.0, *[100.0] * (seeds - 1)])
    half = student.ppf(0.975, seeds - 1) * gains.std(ddof=1) / np.sqrt(seeds)
    assert found.value == pytest.approx(gains.mean())
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half), rel=0.15)


def test_the_interval_holds_what_other_galaxies_and_seeds_would_have_shown():
    generator, held, skill = np.random.default_rng(0), [], 0.15
    for _ in range(60):
        # Of three seeds one may go far astray; both runs find the same galaxies hard.
        hard = generator.uniform(size=len(TRUTH))
        share = np.stack([np.full(3, 0.8), 0.8 - skill + generator.normal(0, 0.08, 3)])
        runs = np.where(hard < share[..., None], TRUTH, (TRUTH + 1) % 4)
        found = gain(TRUTH, *runs, classes=4, resamples=200, seed=0)
        held.append(found.low <= 100 * skill <= found.high)
    assert np.mean(held) >= 0.87


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_without_a_partner_or_a_second_seed_the_gain_is_empty(seeds):
    members = [member("a", 10, 0), *(member("b", 10, seed, "a") for seed in seeds)]
    row = row_of(sweep_table(members, [judged(5)] * len(members), SETTINGS), "b")
    assert np.isnan([row["gain"], row["gain_low"], row["gain_high"]]).all()
    assert row["macro_f1"] == pytest.approx(0.8)


def test_members_that_two_sweeps_share_count_once():
    members = [member("a", 10, seed) for seed in (0, 1)]
    once = sweep_table(members, [judged(5), judged(8)], SETTINGS)
    twice = sweep_table(members * 2, [judged(5), judged(8)] * 2, SETTINGS)
    pd.testing.assert_frame_equal(once, twice)


def test_tables_of_embeddings_agree_with_the_metrics_of_the_run(tmp_path):
    paths = [
        write_embeddings(tmp_path / f"a-10-{seed}.h5", noise=noise, trained=(), head=True)
        for seed, noise in enumerate((1.0, 2.0))
    ]
    for path in paths:
        with h5py.File(path, "a") as file:
            file.attrs["classifier"] = "head"
    table, seeds = tmp_path / "table.tsv", tmp_path / "seeds.tsv"
    write_sweep([member("a", 10, seed) for seed in (0, 1)], paths, SETTINGS, table=table, seeds=seeds)
    expected = [evaluate_run(path, SETTINGS)["classification"]["head"]["macro_f1"]["value"] for path in paths]
    assert pd.read_csv(seeds, sep="\t")["macro_f1"].to_list() == pytest.approx(expected, rel=1e-5)
    (row,) = pd.read_csv(table, sep="\t", keep_default_na=False).to_dict("records")
    assert float(row["macro_f1"]) == pytest.approx(np.mean(expected), rel=1e-5)
    assert (row["over"], row["gain"], row["labels"]) == ("none", "", 10)


def test_runs_of_other_galaxies_are_refused(tmp_path):
    paths = [
        write_embeddings(tmp_path / "a.h5", trained=(), head=True),
        write_embeddings(tmp_path / "b.h5", galaxies=120, trained=(), head=True),
    ]
    for path in paths:
        with h5py.File(path, "a") as file:
            file.attrs["classifier"] = "head"
    assert len(read_judged(paths[0], SETTINGS).id) != len(read_judged(paths[1], SETTINGS).id)
    where = {"table": tmp_path / "table.tsv", "seeds": tmp_path / "seeds.tsv"}
    with pytest.raises(GalaxAlignError, match="do not judge the same galaxies"):
        write_sweep([member("a", 10, 0), member("b", 10, 0)], paths, SETTINGS, **where)
    with pytest.raises(GalaxAlignError, match="add an entry to 'sweeps'"):
        write_sweep([], [], SETTINGS, **where)
