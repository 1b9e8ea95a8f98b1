"""Symbols brought to life: galaxies rendered from the geometry of a class's symbols, as a survey would show them.

A picture is made in five steps: a shape of the class; an appearance in the survey, drawn from what was measured
of its pictures and widened; the flux of the galaxy, its field and neighbours; the air; the stretch, the sky and its
noise.  Nothing of it needs a label, and there is no end to it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor
from torch.nn import functional as F

from galaxalign.symbols.appearance import Appearance, Band, Observation
from galaxalign.symbols.geometry import Geometry
from galaxalign.symbols.library import SYMBOLS
from galaxalign.symbols.matching import LEVELS, QUANTITIES, SurveyLook, border_width, measure
from galaxalign.symbols.rendering import render
from galaxalign.symbols.sheet import ClassSheet

Table = dict[str, NDArray[np.float64]]

# Lengths are in stored pixels: one "arcsec" a pixel. The survey's own air is added afterwards.
SHARPEST = 1.3
_BANDS = tuple(
    Band(name=name, wavelength=wavelength, psf_fwhm=SHARPEST, sky=0.0, gain=1e9)
    for name, wavelength in (("red", 750.0), ("green", 620.0), ("blue", 480.0))
)
# Magnitude of a total flux of 1; white is a flux of 1 in a pixel.
_ZERO = 22.5
# Pixels around the picture, so that blurring does not carry light from one border to the other.
EDGE = 8
# Axis ratio that the air gives even a needle, added in quadrature.
ROUNDED = 0.15
# Stars and small galaxies of the field for each one that is bright enough to be counted as a neighbour, and the
# magnitude of the faintest over that of a flux of 1.
STARS, GALAXIES, FAINTEST = 2.0, 1.5, 2.5
# Young stars in arms are bluer by so much than the outskirts, where old ones mix with them: magnitudes.
BLUER = 0.15
# Pictures that are finished at a time, so that they stay in a processor's cache.
PIECE = 16
# Side of the stored pictures that a look without a survey is given in.
_SIDE = 128

# What is taken of a survey of which nothing is known: uniform between two values.
UNMATCHED = {
    **{f"sky_{c}": (0.0, 0.12) for c in ("red", "green", "blue")},
    **{f"noise_{c}": (0.003, 0.06) for c in ("red", "green", "blue")},
    "grain": (0.2, 1.5),
    "shared_noise": (0.0, 0.9),
    "psf": (1.5, 8.0),
    "radius": (10.0, 50.0),
    "concentration": (0.5, 0.6),
    "axis_ratio": (0.2, 1.0),
    "offset": (0.0, 2.0),
    "fringe": (0.0, 1.0),
    "peak": (0.3, 1.0),
    "core_red": (-0.2, 0.6),
    "core_blue": (-1.2, 0.4),
    "outer_red": (-0.3, 0.5),
    "outer_blue": (-1.0, 0.6),
    "mottle": (0.0, 0.3),
    "neighbours": (0.0, 6.0),
    "neighbour_peak": (0.1, 1.0),
}
# What of the look is drawn wider than it was measured: standard deviation added to the normal scores.
WIDER = 0.35
# Old galaxies are redder, those with arms bluer than the mean of a survey, in normal scores of the core's colour.
REDDER = {"smooth": 0.35, "armed": -0.7, "other": -0.1}
# asinh(k) of the stretch asinh(k I) / asinh(k): surveys' pictures lie between.
DEPTHS = (4.5, 9.0)
# Colours of the flux that make white: red, green and blue light of stars.
WHITE = (1.0, 1.15, 1.7)
# Another galaxy beside or before a galaxy: how often; how many times smaller; how far away in outer radii of the
# galaxy; logarithm of the ratio of the peaks.
BESIDE, SMALLER, APART, DIMMER = 0.4, (1.6, 4.5), (0.4, 1.6), (-2.0, -0.2)
# Largest distance between the colours, in widths of the PSF.
FRINGE = 0.3
# Noise of the light of a galaxy over what `mottle` measures of it.
UNSMOOTHED = 0.5
# Galaxies of each symbol that its size in the survey's pictures is found from, and how often it is corrected.
TRIED, ROUNDS = 16, 2
# Sersic index of smooth bodies, uniform in its logarithm.
INDEX = (0.55, 4.5)
RANGES = {
    "spheroid_radius": (0.2, 0.4),
    "disk_scale": (0.2, 0.36),
    "bulge_index": (0.7, 2.5),
    "texture": (0.1, 0.9),
    "flocculence": (0.0, 0.8),
    "reddening": (0.5, 3.0),
}


class LivingSymbols:
    """Galaxies of the classes of a sheet, in the pictures of a survey.

    Parameters
    ----------
    sheet
        The vocabulary; a galaxy of a class is one of the class's symbols.
    look
        What the survey's pictures look like; None for pictures that match none.
    size
        Pixels a side.
    """

    def __init__(self, sheet: ClassSheet, look: SurveyLook | None, size: int) -> None:
        self.sheet, self.look, self.size = sheet, look, size
        self._frame = _frame(size)
        self._sizes = dict.fromkeys((name for entry in sheet.classes for name in entry.symbols), 1.0)
        for _ in range(ROUNDS if look is not None else 0):
            self._sizes = {name: size * self._smallness(name) for name, size in self._sizes.items()}

    def _smallness(self, name: str) -> float:
        """How much larger than now a symbol's galaxies must be drawn to look as large as the survey's."""
        chance, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
        names = [name] * TRIED
        shapes = [SYMBOLS[name].vary(chance) for _ in names]
        table = self._appearance_table(names, shapes, chance)
        pictures = self._made(shapes, table, chance, generator).numpy()
        seen = np.array([measure(picture)["radius"] for picture in pictures])
        return float(np.clip(np.exp(np.median(np.log(table["radius"] / seen))), 0.5, 2.0))

    def draw(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Galaxies of the classes given.

        Parameters
        ----------
        classes
            (N,) int64, places in the sheet's classes.
        generator
            Decides everything that is left to chance; the work is done on its device.

        Returns
        -------
        uint8 (N, size, size, 3), row 0 at the top, red first.
        """
        chance = _chance(generator)
        choices = [self.sheet.classes[index].symbols for index in classes.tolist()]
        return self._drawn([symbols[int(chance.integers(len(symbols)))] for symbols in choices], chance, generator)

    def draw_symbols(self, names: Sequence[str], generator: torch.Generator) -> Tensor:
        """Galaxies of symbols of the sheet by name, (N, size, size, 3) as those of `draw`."""
        return self._drawn(names, _chance(generator), generator)

    def _drawn(self, names: Sequence[str], chance: np.random.Generator, generator: torch.Generator) -> Tensor:
        if not names:
            return torch.empty((0, self.size, self.size, 3), dtype=torch.uint8, device=generator.device)
        shapes = [SYMBOLS[name].vary(chance) for name in names]
        return self._made(shapes, self._appearance_table(names, shapes, chance), chance, generator)

    def _made(
        self, shapes: Sequence[Geometry], table: Table, chance: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        looks = _appearances(shapes, table, chance)
        with torch.no_grad():
            flux = render(shapes, looks, self._field(table), generator, self.size + 2 * EDGE)
            pictures = []
            for start in range(0, len(shapes), PIECE):
                part = slice(start, start + PIECE)
                rows = {name: values[part] for name, values in table.items()}
                pictures.append(self._picture(flux[part].flip(-2), rows, generator))
            return torch.cat(pictures)

    def _appearance_table(self, names: Sequence[str], shapes: Sequence[Geometry], chance: np.random.Generator) -> Table:
        """Quantities of N galaxies, drawn from the look: (N,) each, lengths in pixels of these pictures.

        `outer` is the outer radius of the Geometry.
        """
        number = len(shapes)
        if self.look is None:
            table = {name: chance.uniform(*ends, number) for name, ends in UNMATCHED.items()}
            scale = self.size / _SIDE
        else:
            correlation = np.array(self.look.correlation)
            scores = chance.multivariate_normal(np.zeros(len(correlation)), correlation, number, method="cholesky")
            scores += WIDER * chance.normal(size=scores.shape)
            # What goes with redness or with flatness follows it, as the survey's correlations say.
            redder = np.array([REDDER[_kind(shape)] for shape in shapes])
            scores -= redder[:, None] * correlation[QUANTITIES.index("core_blue")]
            flat = QUANTITIES.index("axis_ratio")
            ratios = np.array(
                [np.nan if shape.companion else math.hypot(shape.axis_ratio, ROUNDED) for shape in shapes]
            )
            known = ndtri(np.interp(ratios, self.look.quantiles["axis_ratio"], LEVELS))
            scores += np.nan_to_num(known - scores[:, flat])[:, None] * correlation[flat]
            levels = ndtr(scores)
            table = {
                name: np.interp(levels[:, place], LEVELS, self.look.quantiles[name])
                for place, name in enumerate(QUANTITIES)
            }
            scale = self.size / self.look.side
        for name in ("grain", "psf", "radius", "offset", "fringe"):
            table[name] = table[name] * scale
        table["beside"] = np.where(chance.uniform(size=number) < BESIDE, 10 ** chance.uniform(*DIMMER, number), 0.0)
        table["smaller"], table["apart"] = chance.uniform(*SMALLER, number), chance.uniform(*APART, number)
        table["beside_angle"], table["beside_turn"] = chance.uniform(0, 2 * np.pi, (2, number))
        table["fringe_angle"] = chance.uniform(0, 2 * np.pi, number)
        area = np.array([shape.axis_ratio * (1 + shape.companion) for shape in shapes])
        table["outer"] = table["radius"] * [self._sizes[name] for name in names] / np.sqrt(area)
        # A lopsided galaxy has other centroids in red than in blue, too; a camera errs by less than its sharpness.
        table["fringe"] = np.minimum(table["fringe"], FRINGE * table["psf"])
        table["depth"] = chance.uniform(*DEPTHS, number)
        return table

    def _field(self, table: Table) -> Observation:
        """A camera without noise; as many stars and small galaxies beside each galaxy as the survey shows."""
        area = ((self.size + 2 * EDGE) / 60) ** 2
        density = float(np.mean(table["neighbours"])) / area
        return Observation(
            bands=_BANDS,
            pixel_scale=1.0,
            psf_beta=3.0,
            seeing_scatter=0.0,
            sky_correlation=0.0,
            background=0.0,
            stars=STARS * density,
            galaxies=GALAXIES * density,
            limit=_ZERO + FAINTEST,
        )

    def _picture(self, flux: Tensor, table: Table, generator: torch.Generator) -> Tensor:
        """Flux (N, 3, S, S) of white 1, row 0 at the top, as the survey shows it: uint8 (N, size, size, 3)."""
        device = flux.device

        def column(name: str) -> Tensor:
            return torch.from_numpy(table[name].astype(np.float32)).to(device)[:, None, None, None]

        def colours(name: str) -> Tensor:
            return torch.cat([column(f"{name}_{colour}") for colour in ("red", "green", "blue")], 1)

        depth = column("depth")
        flux = flux * torch.tensor(WHITE, device=device)[:, None, None]
        flux = flux / self._peak(flux)
        flux = flux + column("beside") * _others(flux, {name: column(name).flatten() for name in table})
        width = column("psf").square().sub(SHARPEST**2).clamp_min(0.01).sqrt() / 2.3548
        apart = column("fringe") * torch.tensor([0.5, 0.0, -0.5], device=device)[:, None, None]
        angle = column("fringe_angle")
        flux = _smoothed(flux, width, apart * torch.cos(angle), apart * torch.sin(angle))
        # What of a galaxy reaches the border is part of what was measured as the sky there.
        flux = flux - self._border(flux)
        # Whatever is measured of a galaxy is what it shows above the sky.
        sky = colours("sky")
        level = sky.mean(1, keepdim=True)
        dark = _linear(level, depth)
        peak, half = (_linear(level + share * column("peak"), depth) - dark for share in (1.0, 0.5))
        flux = flux * (peak / self._peak(flux))
        noise = _grainy(flux.shape, column("grain"), generator)
        # The galaxy's own photons: their noise is `mottle` where it is half as bright as its peak.
        flux = flux + UNSMOOTHED * column("mottle") * (half * flux.clamp_min(0)).sqrt() * noise
        # The sky's noise counts where there is little light and the galaxy's where there is much: one draw serves both.
        # The stretch shows more light as steeply as its slope says, another colour as strongly as that light is shown.
        rough = colours("noise") * _mixed(noise, column("shared_noise"))
        light = rough.mean(1, keepdim=True)
        slope = torch.sinh(depth) / (depth * torch.cosh(level * depth))
        shown = _stretch(dark, depth)
        flux = flux + (sky + rough - light) / shown + light / slope
        flux = flux[..., EDGE:-EDGE, EDGE:-EDGE]
        values = 255 * flux * _stretch(flux.mean(1, keepdim=True), depth)
        return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def _border(self, flux: Tensor) -> Tensor:
        """Median (N, C, 1, 1) of where the sky is measured."""
        return flux.flatten(-2)[..., self._frame.to(flux.device)].median(-1).values[..., None, None]

    def _peak(self, flux: Tensor) -> Tensor:
        """Brightness (N, 1, 1, 1) of the brightest place in the middle."""
        low, high = self.size // 2 - self.size // 8 + EDGE, self.size // 2 + self.size // 8 + EDGE
        mean = flux[..., low:high, low:high].mean(1, keepdim=True)
        return F.avg_pool2d(mean, 3, 1).amax((2, 3), keepdim=True).clamp_min(1e-6)


def _frame(size: int) -> Tensor:
    """Places in a flattened picture with its EDGE of every fourth pixel of the border that sky is measured in."""
    place = torch.arange(size + 2 * EDGE) - EDGE
    depth = torch.minimum(place, size - 1 - place)
    depth = torch.minimum(depth[:, None], depth)
    return ((depth >= 0) & (depth < border_width(size))).flatten().nonzero().flatten()[::4]


def _others(flux: Tensor, table: dict[str, Tensor]) -> Tensor:
    """For each picture the next one of the batch, made smaller, turned and moved away from the middle."""
    half = flux.shape[-1] / 2
    cos, sin = (table["smaller"] * turn(table["beside_turn"]) for turn in (torch.cos, torch.sin))
    x, y = (table["apart"] * table["outer"] * turn(table["beside_angle"]) / half for turn in (torch.cos, torch.sin))
    rows = (cos, -sin, sin * y - cos * x), (sin, cos, -sin * x - cos * y)
    matrix = torch.stack([torch.stack(row, -1) for row in rows], 1)
    grid = F.affine_grid(matrix, list(flux.shape), align_corners=False)
    return F.grid_sample(flux.roll(1, 0), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _chance(generator: torch.Generator) -> np.random.Generator:
    """What numpy draws, from the generator that decides everything."""
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return np.random.default_rng(seed)


def _linear(shown: Tensor, depth: Tensor) -> Tensor:
    """Flux that the stretch shows as bright as `shown`."""
    return torch.sinh(shown * depth) / torch.sinh(depth)


def _stretch(intensity: Tensor, depth: Tensor) -> Tensor:
    """What light of so much intensity, the mean of the colours, is multiplied by to be shown."""
    intensity = intensity.clamp_min(1e-6)
    return torch.asinh(intensity * torch.sinh(depth)) / (depth * intensity)


def _kind(shape: Geometry) -> str:
    if shape.arms:
        return "armed"
    return "other" if shape.edge_on or shape.companion else "smooth"


def _appearances(shapes: Sequence[Geometry], table: Table, chance: np.random.Generator) -> list[Appearance]:
    """An Appearance for each galaxy of the table."""
    number = len(shapes)
    turned = chance.uniform(0, 360, (2, number))
    off = table["offset"] * np.exp(2j * np.pi * chance.uniform(size=number))
    drawn = {name: chance.uniform(*ends, number) for name, ends in RANGES.items()}
    # Half of what volunteers call smooth are featureless disks.
    low, high = (math.log(end) for end in INDEX)
    drawn["spheroid_index"] = np.exp(chance.uniform(low, high, number))
    red, blue = (-2.5 / math.log(10) * table[f"core_{c}"] for c in ("red", "blue"))
    young_red, young_blue = (-2.5 / math.log(10) * table[f"outer_{c}"] for c in ("red", "blue"))
    looks = []
    for i, shape in enumerate(shapes):
        radius = float(table["outer"][i])
        # Such that the peak is near white; `_picture` puts it right.
        total = _ZERO - 2.5 * math.log10(0.2 * radius**2 * shape.axis_ratio)
        bluer = BLUER if shape.arms else 0.0
        looks.append(
            Appearance(
                radius=radius,
                x=float(off[i].real),
                y=float(off[i].imag),
                angle=float(turned[0, i]),
                phase=float(turned[1, i]) if shape.arms or shape.bar else 0.0,
                old=_magnitudes(total, red[i], blue[i]),
                young=_magnitudes(total, young_red[i] + bluer, young_blue[i] - bluer),
                **{name: float(values[i]) for name, values in drawn.items()},
            )
        )
    return looks


def _magnitudes(total: float, red: float, blue: float) -> tuple[float, ...]:
    """Of light that the picture shows in a colour."""
    planes = (total + float(red), total, total + float(blue))
    return tuple(plane + 2.5 * math.log10(white) for plane, white in zip(planes, WHITE, strict=True))


def _frequencies(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Frequencies of the Fourier modes of rows (side, 1) and columns (side // 2 + 1), radians a pixel."""
    rows = 2 * math.pi * torch.fft.fftfreq(side, device=device)
    return rows[:, None], 2 * math.pi * torch.fft.rfftfreq(side, device=device)


def _smoothed(image: Tensor, width: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Images (N, C, S, S) smoothed by Gaussians of standard deviation (N, 1, 1, 1), shifted by pixels (N, C, 1, 1)."""
    rows, columns = _frequencies(image.shape[-1], image.device)
    size = torch.exp(-0.5 * width.square() * (rows.square() + columns.square()))
    transfer = torch.polar(size, -(rows * down + columns * right))
    smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=image.shape[-2:])
    return smooth


def _grainy(shape: torch.Size, grain: Tensor, generator: torch.Generator) -> Tensor:
    """Noise (N, C, S, S) of variance 1: white noise smoothed by Gaussians as wide as `grain` (N, 1, 1, 1)."""
    side = shape[-1]
    rows, columns = _frequencies(side, grain.device)
    transfer = torch.exp(-0.5 * grain.square() * (rows.square() + columns.square()))
    # The first column, and the last of an even side, are their own mirror images: half of their power is kept.
    weight = torch.full((len(columns),), 2.0, device=grain.device)
    weight[0] = 1.0
    if side % 2 == 0:
        weight[-1] = 1.0
    power = (transfer.square() * weight).sum((-2, -1), keepdim=True) / side**2
    modes = torch.randn((*shape[:-1], len(columns), 2), generator=generator, device=grain.device)
    modes = torch.view_as_complex(modes) * (transfer / power.sqrt() * (side / weight.sqrt()))
    noise: Tensor = torch.fft.irfft2(modes, s=shape[-2:])
    return noise


def _mixed(noise: Tensor, shared: Tensor) -> Tensor:
    """Noise of three colours, each of variance 1, that correlate by `shared`."""
    own = (1 - shared).sqrt()
    common = ((own.square() + 3 * shared).sqrt() - own) / 3
    return own * noise + common * noise.sum(1, keepdim=True)
