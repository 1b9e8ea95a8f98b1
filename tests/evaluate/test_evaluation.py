"""One run measured from end to end, and the tables of several."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.special import softmax

from galaxalign.errors import GalaxAlignError
from galaxalign.evaluate.embeddings import read_embeddings
from galaxalign.evaluate.evaluation import EvaluationSettings, class_scores, evaluate_run, write_metrics
from galaxalign.evaluate.metrics import expected_calibration_error
from galaxalign.evaluate.tables import COLUMNS, read_metrics, summary, tidy, write_tables
from tests.synthetic_results import LABELS, write_embeddings

SETTINGS = EvaluationSettings(split="test", top_k=[1, 5], bootstrap=100, seed=0, probe=[0.1, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def measured(folder):
    return evaluate_run(write_embeddings(folder / "aligned.h5"), SETTINGS)


def test_holds_what_the_contract_names(measured):
    assert list(measured) == [
        *(
            "dataset",
            "run",
            "split",
            "classes",
            "names",
            "counts",
            "classifier",
            "calibration",
            "classification",
            "retrieval",
        )
    ]
    assert list(measured["classification"]) == ["text", "symbol", "fused", "probe"]
    assert list(measured["retrieval"]) == ["galaxy", "symbol", "text"]
    assert measured["counts"]["test"] == dict.fromkeys(LABELS, 12)
    by_text = measured["classification"]["text"]
    assert np.sum(by_text["confusion"]) == by_text["accuracy"]["n"] == 48
    found = np.diagonal(by_text["confusion"]).sum()
    assert by_text["accuracy"]["value"] == pytest.approx(found / 48)
    assert by_text["recall"][LABELS[1]]["value"] == pytest.approx(by_text["confusion"][1][1] / 12)
    assert set(measured["retrieval"]["text"]) == {"P@1", "P@5", "mAP@1", "mAP@5"}
    numbers = [by_text["accuracy"], by_text["macro_f1"], *measured["retrieval"]["galaxy"].values()]
    assert all(number["low"] <= number["value"] <= number["high"] for number in numbers)


def test_calibration_is_that_of_the_runs_own_scores(folder, measured):
    embeddings = read_embeddings(folder / "aligned.h5")
    rows = embeddings.galaxies.rows("test")
    scores, truth = class_scores(embeddings)["fused"][rows], embeddings.galaxies.label[rows]
    found = measured["calibration"]
    assert found["temperature"] == 0.5
    assert found["error_before"] == expected_calibration_error(softmax(scores, axis=1), truth)
    assert found["error"] == expected_calibration_error(softmax(2 * scores, axis=1), truth)
    assert found["error"] != found["error_before"]


def test_perfect_embeddings_are_perfect_and_noise_is_chance(folder):
    perfect = evaluate_run(write_embeddings(folder / "perfect.h5", noise=0.0), SETTINGS)
    for method in perfect["classification"].values():
        assert method["accuracy"]["value"] == method["macro_f1"]["value"] == 1
    for query in perfect["retrieval"].values():
        assert query["mAP@5"]["value"] == 1
    chance = evaluate_run(write_embeddings(folder / "chance.h5", noise=1e3, galaxies=800), SETTINGS)
    accuracy = chance["classification"]["fused"]["accuracy"]
    assert accuracy["low"] < 0.25 < accuracy["high"]


def test_a_run_is_measured_by_what_it_trained(folder):
    measured = evaluate_run(write_embeddings(folder / "head.h5", trained=(), head=True), SETTINGS)
    assert list(measured["classification"]) == ["head", "probe"]
    assert list(measured["retrieval"]) == ["galaxy"]
    path = write_embeddings(folder / "symbols.h5", trained=("symbol",))
    with h5py.File(path, "a") as file:
        del file["texts"]
    assert list(evaluate_run(path, SETTINGS)["classification"]) == ["symbol", "probe"]


def test_a_run_that_learned_from_votes_is_judged_by_its_answers(folder):
    path = write_embeddings(folder / "votes.h5", noise=0.0)
    with h5py.File(path, "a") as file:
        galaxies, label = file["galaxies/embedding"][:], file["galaxies/label"][:]
        directions = np.stack([galaxies[label == index][0] for index in range(4)])
        group = file.create_group("answers")
        # Two questions of two answers: the answers 0 and 1 lead to classes 0 and 1, 2 and 3 to 2 and 3.
        group["symbols"] = group["texts"] = directions
        group["text_answers"], group["questions"] = np.arange(4), np.array([0, 0, 1, 1])
        group["shown"], group["paths"] = np.eye(4, dtype=bool), np.eye(4, dtype=bool)
    measured = evaluate_run(path, SETTINGS)["classification"]
    assert list(measured) == ["text", "symbol", "fused", "probe"]
    scores = class_scores(read_embeddings(path))
    for logs in scores.values():
        np.testing.assert_allclose(np.exp(logs).reshape(-1, 2, 2).sum(2), 1)
        # A question that its class never came to is a guess.
        assert (logs[label == 0, 0] > -1e-3).all()
    with h5py.File(path, "a") as file:
        del file["answers/texts"], file["texts"]
        file.attrs["trained"] = json.dumps(["symbol"])
    assert list(class_scores(read_embeddings(path))) == ["symbol"]


def test_flagged_and_unlabelled_galaxies_are_not_judged(folder):
    path = write_embeddings(folder / "flagged.h5")
    with h5py.File(path, "a") as file:
        test = np.flatnonzero(file["galaxies/split"].asstr()[:] == "test")
        file["galaxies/flag"][test[0]] = "truncated"
        file["galaxies/label"][test[1]] = -1
    measured = evaluate_run(path, SETTINGS)
    assert measured["classification"]["text"]["accuracy"]["n"] == 46
    assert sum(measured["counts"]["test"].values()) == 46


def test_a_class_absent_from_the_truth_has_no_recall(folder):
    path = write_embeddings(folder / "absent.h5")
    with h5py.File(path, "a") as file:
        label = file["galaxies/label"][:]
        label[(label == 3) & (file["galaxies/split"].asstr()[:] == "test")] = -1
        file["galaxies/label"][:] = label
    measured = evaluate_run(path, SETTINGS)["classification"]["text"]
    assert measured["recall"][LABELS[3]] == {"value": None, "low": None, "high": None, "n": 0}
    assert measured["macro_f1"]["value"] > 0.5


def test_the_probe_learns_from_the_labels_that_the_run_was_given(folder):
    path = write_embeddings(folder / "few.h5", noise=0.9)
    every = evaluate_run(path, SETTINGS)["classification"]["probe"]
    with h5py.File(path, "a") as file:
        used = file["galaxies/used"][:]
        used[np.flatnonzero(used)[8:]] = False
        file["galaxies/used"][:] = used
    few = evaluate_run(path, SETTINGS)["classification"]["probe"]
    assert few["confusion"] != every["confusion"]


def test_where_no_probe_can_be_fitted_the_rest_is_judged(folder):
    path = write_embeddings(folder / "one_class.h5")
    with h5py.File(path, "a") as file:
        file["galaxies/used"][:] &= file["galaxies/label"][:] == 0
    assert list(evaluate_run(path, SETTINGS)["classification"]) == ["text", "symbol", "fused"]
    with h5py.File(path, "a") as file:
        file.attrs["classifier"] = "probe"
    with pytest.raises(GalaxAlignError, match="fewer than two classes"):
        evaluate_run(path, SETTINGS)


def test_says_what_is_wrong_with_its_input(folder):
    (folder / "cut.h5").write_bytes((folder / "aligned.h5").read_bytes()[:96])
    with pytest.raises(
        GalaxAlignError, match=r"cut\.h5 is no complete embeddings file .*: remove it and run Snakemake"
    ):
        evaluate_run(folder / "cut.h5", SETTINGS)
    path = write_embeddings(folder / "wrong.h5")
    with pytest.raises(GalaxAlignError, match=r"evaluate\.split"):
        evaluate_run(path, replace(SETTINGS, split="nowhere"))
    with h5py.File(path, "a") as file:
        del file.attrs["scale"]
    with pytest.raises(GalaxAlignError, match=r"wrong\.h5 .*scale"):
        evaluate_run(path, SETTINGS)


def test_same_embeddings_same_bytes_and_strict_json(folder):
    paths = [folder / "one.json", folder / "two.json"]
    for path in paths:
        write_metrics(embeddings=write_embeddings(folder / "same.h5"), settings=SETTINGS, metrics=path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    json.loads(paths[0].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_tables_hold_every_number_and_a_summary(measured, folder):
    table = tidy([measured])
    assert list(table.columns) == COLUMNS
    # Four methods with accuracy, macro-F1 and four recalls; three queries with four numbers.
    assert len(table) == 4 * (2 + len(LABELS)) + 3 * 4
    row = table[(table.method == "fused") & (table.metric == "accuracy")].iloc[0]
    assert row["value"] == measured["classification"]["fused"]["accuracy"]["value"]
    short = summary([measured])
    assert list(short["by"]) == ["text", "symbol", "fused *", "probe", "galaxy", "symbol", "text"]
    (folder / "m.json").write_text(json.dumps(measured))
    write_tables([folder / "m.json"], metrics=folder / "metrics.tsv", summary_table=folder / "summary.tsv")
    assert len((folder / "metrics.tsv").read_text().splitlines()) == len(table) + 1
    assert read_metrics([folder / "m.json"]) == [measured]
