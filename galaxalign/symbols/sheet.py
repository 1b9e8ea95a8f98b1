"""Class sheets: what each class of a vocabulary is called, looks like and is said to be."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from galaxalign.errors import GalaxAlignError, nearest
from galaxalign.maps import OnceLoader
from galaxalign.symbols.library import SYMBOLS, mirror_symbol
from galaxalign.symbols.tree import DecisionTree, complaint_of

SCHEMAS = Path(__file__).parents[2] / "workflow/schemas"
# The folder of the decision trees, beside the class sheets.
TREES = "trees"
# The pattern by which schemas ask for text that is not blank.
WRITTEN = r"\S"


@dataclass(frozen=True)
class VoteStep:
    """A step down the decision tree: at least this share of the votes for ``question/answer``."""

    answer: str
    at_least: float


@dataclass(frozen=True)
class GalaxyClass:
    """One class.

    Attributes
    ----------
    label : as the catalogue writes it.
    name : as figures write it.
    symbols : keys of `library.SYMBOLS`.
    texts : ways to say what a galaxy of this class looks like.
    votes : steps that must all hold; empty where labels do not come from votes.
    """

    label: str
    name: str
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    votes: tuple[VoteStep, ...]


@dataclass(frozen=True)
class ClassSheet:
    """A vocabulary of morphology; the index of a class is its place in `classes`.

    Attributes
    ----------
    source : where the classes come from.
    classes : in order; where votes make labels, the first whose rule holds wins.
    unclassified : labels of the catalogue that mean no class.
    asked : people that must have been asked at each step of a vote rule; 0 without rules.
    tree : the decision tree whose answers the rules name; None without rules.
    """

    name: str
    source: str
    classes: tuple[GalaxyClass, ...]
    unclassified: tuple[str, ...]
    asked: int
    tree: DecisionTree | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the classes, in order."""
        return tuple(entry.label for entry in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Display names of the classes, in order."""
        return tuple(entry.name for entry in self.classes)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the classes, and of the answers of the tree."""
        of_classes = [symbol for entry in self.classes for symbol in entry.symbols]
        return (*of_classes, *(self.tree.symbols if self.tree else ()))

    @property
    def handed(self) -> bool:
        """Whether the mirror image of some class is another class, so that no galaxy may be flipped."""
        return any(SYMBOLS[symbol].handed for symbol in self.symbols)

    @property
    def mirror(self) -> tuple[int, ...] | None:
        """For each class the one that its mirror images belong to, told by the symbols; None where one has none."""
        places = {frozenset(entry.symbols): place for place, entry in enumerate(self.classes)}
        found = [places.get(frozenset(mirror_symbol(symbol) or "" for symbol in symbols)) for symbols in places]
        known = tuple(place for place in found if place is not None)
        # Classes that share their symbols cannot be told apart by them.
        return known if len(known) == len(self.classes) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for checkpoints."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain | {"tree": None if self.tree is None else self.tree.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ClassSheet":
        """The sheet that `to_dict` wrote, or that a checked file says with its tree in place of the tree's name."""
        return cls(
            name=plain["name"],
            source=plain["source"],
            classes=tuple(
                GalaxyClass(
                    label=entry["label"],
                    name=entry["name"],
                    symbols=tuple(entry["symbols"]),
                    texts=tuple(entry["texts"]),
                    votes=tuple(VoteStep(step["answer"], step["at_least"]) for step in entry.get("votes", ())),
                )
                for entry in plain["classes"]
            ),
            unclassified=tuple(plain.get("unclassified", ())),
            asked=plain.get("asked", 0),
            tree=DecisionTree.from_dict(plain["tree"]) if plain.get("tree") else None,
        )


def read_sheet(path: Path) -> ClassSheet:
    """Read and check a class sheet, and the decision tree it names.

    Raises
    ------
    GalaxAlignError
        One sentence that names the file, the class, the key and the cure.
    """
    plain = _read_checked(path, "class sheet", "morphology")
    tree = _tree_of(plain["tree"], path) if "tree" in plain else None
    sheet = ClassSheet.from_dict(plain | {"tree": tree.to_dict() if tree else None})
    _check_meaning(sheet, path)
    return sheet


def read_tree(path: Path) -> DecisionTree:
    """Read and check a decision tree.

    Raises
    ------
    GalaxAlignError
        One sentence that names the file, the question, the key and the cure.
    """
    tree = DecisionTree.from_dict(_read_checked(path, "decision tree", "tree"))
    _check_name(tree.name, path, "decision tree")
    complaint = complaint_of(tree)
    if complaint:
        raise GalaxAlignError(f"decision tree {path}, {complaint}")
    for answer in tree.answers:
        _check_symbols(answer.symbols, f"decision tree {path}, answer {answer.name!r}")
    return tree


def _tree_of(name: str, path: Path) -> DecisionTree:
    """The decision tree that a class sheet names."""
    folder = path.parent / TREES
    if not (folder / f"{name}.yaml").is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise GalaxAlignError(
            f"class sheet {path}, key 'tree': there is no {folder / name}.yaml: {nearest(name, known)}"
        )
    return read_tree(folder / f"{name}.yaml")


def _read_checked(path: Path, what: str, schema: str) -> dict[str, Any]:
    """Plain values of a YAML file whose keys and types are those of a schema."""
    try:
        plain = yaml.load(path.read_text(), OnceLoader)
    except OSError as error:
        raise GalaxAlignError(f"{what} {path} cannot be read ({error.strerror}): correct its path") from error
    except UnicodeDecodeError as error:
        raise GalaxAlignError(f"{what} {path} is not in UTF-8: save it so") from error
    except yaml.YAMLError as error:
        raise GalaxAlignError(f"{what} {path} is not YAML: {' '.join(str(error).split())}; correct it") from error
    rules = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(rules)
    errors = sorted(validator.iter_errors(plain), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        where = _place(plain, list(errors[0].absolute_path))
        raise GalaxAlignError(f"{what} {path}{where}: {_complaint(errors[0], schema)}")
    checked: dict[str, Any] = plain
    return checked


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _place(plain: Any, steps: list[str | int]) -> str:
    """The path of an error in words: the class by its label or the question by its name, then the key."""
    words = ""
    for list_of, what, key in (("classes", "class", "label"), ("questions", "question", "name")):
        if len(steps) > 1 and steps[0] == list_of:
            entry = plain[list_of][steps[1]]
            label = entry.get(key, steps[1]) if isinstance(entry, Mapping) else steps[1]
            words, steps = f", {what} {label!r}", steps[2:]
    key = ".".join(map(str, steps))
    return f"{words}, key {key!r}" if key else words


def _complaint(error: jsonschema.ValidationError, name: str) -> str:
    """What is wrong, and the cure."""
    value: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    meaning = schema.get("description", f"a map of keys, see workflow/schemas/{name}.schema.yaml")
    match error.validator:
        case "additionalProperties":
            known = list(schema["properties"])
            unknown = next(str(key) for key in value if key not in known)
            return f"there is no key {unknown!r}: {nearest(unknown, known)}"
        case "required":
            missing = next(key for key in rule if key not in value)
            return f"the key {missing!r} is missing: add it ({schema['properties'][missing]['description']})"
        case "minItems":
            return f"is {value!r}: give at least {rule} ({meaning})"
        case "pattern" if rule == WRITTEN:
            return f"is {value!r}, which is blank: write something ({meaning})"
        case _:
            return f"{error.message}: correct it ({meaning})"


def _check_name(name: str, path: Path, what: str) -> None:
    if name != path.stem:
        raise GalaxAlignError(
            f"{what} {path}, key 'name': is {name!r} in a file called {path.name}; give both one name"
        )


def _check_symbols(symbols: tuple[str, ...], where: str) -> None:
    for symbol in symbols:
        if symbol not in SYMBOLS:
            raise GalaxAlignError(f"{where}, key 'symbols': there is no symbol {symbol!r}; {nearest(symbol, SYMBOLS)}")


def _check_meaning(sheet: ClassSheet, path: Path) -> None:
    """What a schema cannot see: names that must exist, and be one of a kind."""
    _check_name(sheet.name, path, "class sheet")
    for label, times in Counter([*sheet.labels, *sheet.unclassified]).items():
        if times > 1:
            raise GalaxAlignError(
                f"class sheet {path}, class {label!r}: the label occurs {times} times; "
                "merge those classes or rename all but one"
            )
    for entry in sheet.classes:
        where = f"class sheet {path}, class {entry.label!r}"
        _check_symbols(entry.symbols, where)
        if entry.votes and not sheet.asked:
            raise GalaxAlignError(
                f"{where}, key 'votes': a vote rule needs the sheet's key 'asked', "
                "the number of people that must have been asked; add it"
            )
        if entry.votes and sheet.tree is None:
            raise GalaxAlignError(
                f"{where}, key 'votes': a vote rule needs the sheet's key 'tree', "
                "the decision tree that its answers are of; add it"
            )
        for step in entry.votes:
            if sheet.tree is not None and step.answer not in sheet.tree.names:
                raise GalaxAlignError(
                    f"{where}, key 'votes': {step.answer!r} is no answer of the decision tree {sheet.tree.name}; "
                    f"{nearest(step.answer, sheet.tree.names)}"
                )
