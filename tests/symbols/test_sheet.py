"""Class sheets: those of the project, and what a wrong one is told."""

import csv
import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from galaxalign.data.votes import labels_from_votes
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.sheet import ClassSheet, VoteStep, read_sheet, read_tree
from galaxalign.symbols.tree import DecisionTree
from tests.conftest import ROOT

TREE = ROOT / "config/morphology/trees/gz2.yaml"
SHEETS = sorted((ROOT / "config/morphology").glob("*.yaml"))

PLAIN = """
name: sheet
source: a test
asked: 5
tree: gz2
unclassified: [dont know]
classes:
  - label: round
    name: Round
    symbols: [smooth_round]
    texts: [a round galaxy, a ball]
    votes: [{answer: rounded/completely_round, at_least: 0.6}]
  - label: Z
    name: Clockwise
    symbols: [spiral_clockwise, spiral_tight]
    texts: [a clockwise spiral]
"""


@pytest.fixture
def write(tmp_path):
    """A class sheet with one text replaced by another, beside the tree of Galaxy Zoo 2."""
    (tmp_path / "trees").mkdir()
    shutil.copy(TREE, tmp_path / "trees")

    def with_change(old="", new=""):
        assert old in PLAIN
        path = tmp_path / "sheet.yaml"
        path.write_text(PLAIN.replace(old, new, 1))
        return path

    return with_change


def test_a_sheet_says_what_its_file_says(write):
    sheet = read_sheet(write())
    assert sheet.labels == ("round", "Z")
    assert sheet.names == ("Round", "Clockwise")
    assert sheet.unclassified == ("dont know",)
    assert sheet.asked == 5
    assert sheet.handed
    assert sheet.classes[0].votes == (VoteStep("rounded/completely_round", 0.6),)
    assert sheet.classes[1].symbols == ("spiral_clockwise", "spiral_tight")


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
def test_sheets_of_the_project_are_right_and_survive_a_checkpoint(path):
    sheet = read_sheet(path)
    assert ClassSheet.from_dict(json.loads(json.dumps(sheet.to_dict()))) == sheet
    assert all(4 <= len(entry.texts) <= 6 for entry in sheet.classes)
    texts = [text for entry in sheet.classes for text in entry.texts]
    assert len(set(texts)) == len(texts)


def assert_refused(read, path, said):
    """One line names the file and says what is wrong with it."""
    with pytest.raises(GalaxAlignError, match=said) as raised:
        read(path)
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_only_galaxy_zoo_1_names_a_hand():
    assert [path.stem for path in SHEETS if read_sheet(path).handed] == ["gz1"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    symbols: [smooth_round]\n", "", r"class 'round': the key 'symbols' is missing: add it"),
        ("[smooth_round]", "[]", r"class 'round', key 'symbols': is \[\]: give at least 1"),
        ("    texts: [a clockwise spiral]\n", "", r"class 'Z': the key 'texts' is missing: add it"),
        ("[a clockwise spiral]", "[]", r"class 'Z', key 'texts': is \[\]: give at least 1"),
        ("[a clockwise spiral]", "['']", r"class 'Z', key 'texts.0': is '', which is blank: write something"),
        ("[a clockwise spiral]", '[" ", "\\n"]', r"class 'Z', key 'texts.0': is ' ', which is blank: write something"),
        ("label: Z", "label: ' '", r"class ' ', key 'label': is ' ', which is blank: write something"),
        (
            "texts: [a clock",
            "symbols: [merger]\n    texts: [a clock",
            r"is not YAML: .* 'symbols' stands twice: join what",
        ),
        ("asked: 5", "asked: 5\n? [a, b]\n: 6", r"is not YAML: .* unhashable key"),
        ("smooth_round", "smoth_round", r"class 'round', key 'symbols': .*'smoth_round'; did you mean 'smooth_round'"),
        ("label: Z", "label: round", r"class 'round': the label occurs 2 times; merge"),
        ("dont know", "Z", r"class 'Z': the label occurs 2 times"),
        ("texts: [a round", "text: [a round", r"class 'round': there is no key 'text': did you mean 'texts'"),
        ("asked: 5\n", "", r"class 'round', key 'votes': a vote rule needs the sheet's key 'asked'.*add it"),
        ("tree: gz2\n", "", r"class 'round', key 'votes': a vote rule needs the sheet's key 'tree'.*add it"),
        ("tree: gz2", "tree: gz3", r"key 'tree': there is no .*gz3.yaml: did you mean 'gz2'"),
        ("rounded/comp", "rounded/kom", r"'rounded/komletely_round' is no answer .* gz2; did you mean 'rounded/comp"),
        ("at_least: 0.6", "at_least: 60", r"class 'round', key 'votes.0.at_least': 60 is greater"),
        ("at_least: 0.6", "at_lest: 0.6", r"class 'round', key 'votes.0': there is no key 'at_lest'"),
        ("source: a test", "sources: a test", r"sheet.yaml: there is no key 'sources': did you mean 'source'"),
        ("name: sheet", "name: other", r"key 'name': is 'other' in a file called sheet.yaml"),
        ("asked: 5", "asked: [5", r"is not YAML: .*; correct it"),
        ("asked: 5", "asked: many", r"key 'asked': 'many' is not of type 'integer': correct it"),
        (PLAIN, "- a list", r"sheet.yaml: .* is not of type 'object': correct it"),
    ],
)
def test_a_wrong_sheet_is_named_with_class_key_and_cure(write, old, new, said):
    assert_refused(read_sheet, write(old, new), said)


def test_a_sheet_in_another_encoding_is_named(write):
    sheet = write("a ball", "eine Kugel für sich")
    sheet.write_text(sheet.read_text(), encoding="latin-1")
    with pytest.raises(GalaxAlignError, match=r"class sheet .*sheet\.yaml is not in UTF-8: save it so"):
        read_sheet(sheet)


def test_a_rule_may_name_a_question_with_a_digit(write):
    sheet = write("rounded/completely_round", "rounded2/completely_round")
    tree = sheet.parent / "trees/gz2.yaml"
    tree.write_text(tree.read_text().replace("name: rounded", "name: rounded2"))
    assert read_sheet(sheet).classes[0].votes[0].answer == "rounded2/completely_round"


def test_a_missing_sheet_is_named(tmp_path):
    with pytest.raises(GalaxAlignError, match=r"none\.yaml cannot be read .*: correct its path"):
        read_sheet(tmp_path / "none.yaml")


def test_sheets_hold_the_labels_of_the_real_catalogues(real_data):
    def labels(name):
        with (real_data / name / "catalog.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    galaxy10 = read_sheet(ROOT / "config/morphology/galaxy10.yaml")
    assert {int(row["ans"]): row["label"] for row in labels("galaxy10_decals_sample")} == dict(
        enumerate(galaxy10.labels)
    )
    gz1 = read_sheet(ROOT / "config/morphology/gz1.yaml")
    assert {row["label"] for row in labels("gz1")} == {*gz1.labels, *gz1.unclassified}


def test_each_class_of_gz2_has_enough_real_galaxies(real_data):
    votes = pd.read_csv(real_data / "gz2/catalog.csv")
    sheet = read_sheet(ROOT / "config/morphology/gz2.yaml")
    labels, _ = labels_from_votes(votes, votes["total_classifications"].to_numpy(np.float64), sheet, "debiased")
    counts = Counter(labels)
    assert {counts[label] >= 25 for label in sheet.labels} == {True}
    assert counts[None] < 0.3 * len(votes)


def test_the_tree_of_galaxy_zoo_2():
    tree = read_tree(TREE)
    assert len(tree.questions) == 11
    assert len(tree.names) == len(set(tree.names)) == 37
    assert np.bincount(tree.question_of).tolist() == [3, 2, 2, 2, 4, 2, 3, 7, 3, 3, 6]
    assert all(3 <= len(answer.texts) <= 5 for answer in tree.answers)
    texts = [text for answer in tree.answers for text in answer.texts]
    assert len(set(texts)) == len(texts)
    # Each symbol of the library that was drawn for an answer shows it.
    for name, symbol in SYMBOLS.items():
        if symbol.answer in tree.names:
            assert name in tree.answers[tree.names.index(symbol.answer)].symbols, name
    assert tree.shown.shape == (37, len(tree.symbols))
    assert tree.shown.any(axis=1).all()
    assert [tree.names[row] for row in np.flatnonzero(tree.shown[:, tree.symbols.index("spiral")])] == [
        "edgeon/no",
        "spiral/spiral",
        "odd/no",
    ]
    assert tree.question("odd").leads == ("smooth_or_features/star_or_artifact", False)
    assert tree.question("arms_number").leads == ("spiral/spiral", True)
    assert tree.question("smooth_or_features").leads is None
    assert DecisionTree.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "after: spiral/spiral",
            "after: spiral/spirals",
            r"question 'arms_winding', key 'after': 'spiral/spirals' is no",
        ),
        ("    after: edgeon/no\n", "", r"question 'bar': the first question, and no other, lacks the key 'after'"),
        ("name: bar\n    after", "name: edgeon\n    after", r"question 'edgeon' occurs twice; rename one"),
        (
            "[smooth_cigar]",
            "[smooth_zigar]",
            r"answer 'rounded/cigar_shaped', key 'symbols': .*did you mean 'smooth_cig",
        ),
        ('name: "2"', 'name: "1"', r"answer 'arms_number/1' occurs twice"),
        (
            "after: edgeon/yes",
            "afer: edgeon/yes",
            r"question 'bulge_shape': there is no key 'afer': did you mean 'after'",
        ),
        ("name: gz2", "name: gz", r"key 'name': is 'gz' in a file called gz2.yaml"),
    ],
)
def test_a_wrong_tree_is_named(tmp_path, old, new, said):
    text = TREE.read_text()
    assert old in text
    (tmp_path / "gz2.yaml").write_text(text.replace(old, new, 1))
    assert_refused(read_tree, tmp_path / "gz2.yaml", said)


def test_a_tree_without_symbols_is_named(tmp_path):
    path = tmp_path / "gz2.yaml"
    path.write_text(re.sub(r"symbols: \[.*\]", "symbols: []", TREE.read_text()))
    with pytest.raises(GalaxAlignError, match=r"decision tree .*gz2.yaml, key 'symbols': no answer has a symbol"):
        read_tree(path)


@pytest.mark.parametrize(("name", "parts"), [("morphology", ["class", "step"]), ("tree", ["question", "answer"])])
def test_the_schema_describes_every_key(name, parts):
    schema = yaml.safe_load((ROOT / f"workflow/schemas/{name}.schema.yaml").read_text())
    for part in (schema, *(schema["$defs"][part] for part in parts)):
        assert part["additionalProperties"] is False
        assert all("description" in entry or "$ref" in entry for entry in part["properties"].values())


def test_mirror_images_belong_to_the_class_of_the_other_hand():
    sheet = read_sheet(SHEETS[0].with_name("gz1.yaml"))
    labels = [sheet.labels[other] for other in sheet.mirror]
    assert labels == ["elliptical", "anticlockwise spiral", "clockwise spiral", "edge-on", "merger"]
    assert replace(sheet, classes=sheet.classes[:2]).mirror is None
    assert read_sheet(SHEETS[0].with_name("gz2.yaml")).mirror == tuple(range(8))
