"""The camera of living symbols: who stands beside whom, and what the stretch shows."""

import numpy as np
import pytest
import torch

from galaxalign.symbols.camera import EDGE, photograph
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.looks import WHITE, Table, draw_table

SIZE = 64


def table(number: int, **changes: float) -> Table:
    """Galaxies that stand alone on a dark sky, without noise."""
    drawn = draw_table([Geometry()] * number, [1.0] * number, None, SIZE, np.random.default_rng(0))
    still = {name: 0.0 for name in drawn if name.startswith(("sky", "noise"))}
    still |= {"beside": 0.0, "mottle": 0.0, "fringe": 0.0, "psf": 3.0, "peak": 0.6, "depth": 6.0}
    return drawn | {name: np.full(number, value) for name, value in (still | changes).items()}


def blobs(*widths: float) -> torch.Tensor:
    """Flux of round galaxies in the middle."""
    place = torch.arange(SIZE + 2 * EDGE) - (SIZE + 2 * EDGE - 1) / 2
    square = place.square() + place[:, None].square()
    return torch.stack([torch.exp(-0.5 * square / width**2).expand(3, -1, -1) for width in widths])


def shown(flux: torch.Tensor, rows: Table) -> torch.Tensor:
    return photograph(flux, rows, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_another_galaxy_is_the_one_before_and_beside_those_alone_that_have_one(place):
    rows = table(3, smaller=2.0, apart=1.0, outer=12.0)
    alone = shown(blobs(3.0, 4.0, 5.0), rows)
    rows["beside"][place] = 0.8
    flux = blobs(3.0, 4.0, 5.0)
    beside = shown(flux, rows)
    assert torch.equal(flux, blobs(3.0, 4.0, 5.0))
    assert [torch.equal(*pair) for pair in zip(alone, beside, strict=True)] == [place != one for one in range(3)]
    for other in range(3):
        widths = [3.0, 4.0, 5.0]
        widths[other] = 7.0
        same = torch.equal(shown(blobs(*widths), rows)[place], beside[place])
        assert same == (other not in (place, (place - 1) % 3))


@pytest.mark.parametrize("depth", [4.5, 9.0])
def test_light_is_shown_as_asinh(depth):
    """A white and wide galaxy, which the air leaves as it is, against the formula."""
    flux = blobs(6.0)
    white = flux / torch.tensor(WHITE)[:, None, None]
    seen = shown(white, table(1, psf=1.3, peak=0.9, depth=depth))[0, :, :, 1].double() / 255
    light = flux[0, 1, EDGE:-EDGE, EDGE:-EDGE].double() * np.sinh(0.9 * depth) / np.sinh(depth)
    expected = torch.asinh(light * np.sinh(depth)) / depth
    middle = slice(SIZE // 2 - 12, SIZE // 2 + 12)
    assert torch.allclose(seen[middle, middle], expected[middle, middle], atol=0.01)
