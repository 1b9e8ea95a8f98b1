def dataset_of(wildcards):
    """Settings of a data set, completed from the section `data`."""
    return dataset_settings(config, wildcards.dataset)


def sheet_of(wildcards):
    """Class sheet of a data set."""
    return f"config/morphology/{config['datasets'][wildcards.dataset]['morphology']}.yaml"


def recipe_of(wildcards):
    """Complete recipe of a run."""
    return recipe_settings(config, wildcards.run)


def first_stage_of(wildcards):
    """What of a recipe decides stage 1, so that a change of stage 2 does not train it again."""
    recipe = recipe_of(wildcards)
    return recipe | {"stages": {"shared": recipe["stages"]["shared"]}}
