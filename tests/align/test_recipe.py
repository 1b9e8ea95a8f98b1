"""Recipes as models keep them."""

from galaxalign.align.recipe import Recipe
from tests.align.small import recipe


def test_a_recipe_comes_back_from_its_plain_values():
    assert Recipe.from_dict(recipe().to_dict()) == recipe()


def test_stages_of_older_models_share_one_number_of_views():
    older = recipe().to_dict()
    for stage in older["stages"].values():
        del stage["symbol_views"]
    # They also trained a head in a stage of its own.
    older["stages"]["head"] = older["stages"]["symbol"]
    read = Recipe.from_dict(older | {"symbol_views": 3})
    assert set(read.stages) == {"shared", "symbol"}
    assert {stage.symbol_views for stage in read.stages.values()} == {3}


def test_older_models_see_a_galaxy_at_one_position_angle_as_they_were_judged():
    older = recipe().to_dict()
    del older["position_angles"]
    assert Recipe.from_dict(older).position_angles == 1
