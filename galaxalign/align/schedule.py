"""The learning rate as a pure function of the step."""

import math


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: a linear rise over `warmup` of the steps, then half a cosine to 0.

    Parameters
    ----------
    step
        From 0 to `steps` - 1.
    steps
        Steps of the stage.
    warmup
        Share of them, 0 to 1.

    >>> [round(learning_rate_share(step, 4, 0.25), 2) for step in range(4)]
    [1.0, 1.0, 0.75, 0.25]
    """
    rise = round(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
