"""The shares of galaxies that the splits get."""

from collections.abc import Mapping

from galaxalign.errors import GalaxAlignError

# By which they may miss 1.
ROUNDING = 1e-6


def check_fractions(fractions: Mapping[str, float], where: str) -> None:
    """Raise `GalaxAlignError`, which names their key, unless fractions of train, validation and test add up to 1."""
    total = sum(fractions.values())
    if abs(total - 1) > ROUNDING:
        raise GalaxAlignError(f"'{where}' add up to {total:g}, not 1: correct train, validation or test")
