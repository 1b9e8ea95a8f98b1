"""Recipes as models keep them."""

import pytest

from galaxalign.align.recipe import Recipe
from tests.align.small import recipe


def test_a_recipe_comes_back_from_its_plain_values():
    assert Recipe.from_dict(recipe().to_dict()) == recipe()


@pytest.mark.parametrize("path", ["position_angles", "backbone/symbol_scale", "stages/shared/symbol_views", "stages"])
def test_a_key_that_is_missing_is_named(path):
    older = recipe().to_dict()
    *above, last = path.split("/")
    section = older
    for key in above:
        section = section[key]
    del section[last]
    with pytest.raises((KeyError, TypeError), match=last):
        Recipe.from_dict(older)


@pytest.mark.parametrize("section", ["", "shared"])
def test_a_key_that_is_unknown_is_named(section):
    settings = recipe().to_dict()
    (settings["stages"][section] if section else settings)["epocs"] = 1
    with pytest.raises(TypeError, match="epocs"):
        Recipe.from_dict(settings)
