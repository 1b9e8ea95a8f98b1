"""What the pictures of a survey look like, measured without a label: sky, grain, sharpness, sizes, colours.

Rendered galaxies only teach if they look like the real ones, and pictures come from anywhere: JPEGs of an
unknown recipe, cut to each galaxy's size and resampled.  So nothing is assumed of the camera; each picture is
measured in its stored frame, and the distributions of what was measured are kept as a Gaussian copula: the
quantiles of every quantity, and the correlation of their normal scores.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

from galaxalign.data.store import read_store
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import progress

Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]

# What is measured of a picture, see `measure`.
QUANTITIES = (
    *("sky_red", "sky_green", "sky_blue", "noise_red", "noise_green", "noise_blue", "grain", "shared_noise"),
    *("psf", "radius", "concentration", "axis_ratio", "offset", "fringe", "peak"),
    *("core_red", "core_blue", "outer_red", "outer_blue", "mottle", "neighbours", "neighbour_peak"),
)
# Shares of the pictures at which quantiles are kept.
LEVELS = (0.005, 0.02, 0.05, *(round(0.1 * step, 1) for step in range(1, 10)), 0.95, 0.98, 0.995)
# Pictures that are measured at most; more change no quantile by what matters.
ENOUGH = 2000
# Below so many, quantiles and correlations are noise.
FEWEST = 20
# Of what too few pictures show.
UNSEEN = {"psf": 3.0, "neighbour_peak": 0.3, "mottle": 0.1}
# asinh(k I) / asinh(k) with asinh(k) = DEPTH is taken for the survey's stretch while sharpness is measured.
DEPTH = 4.5
# Sky is measured in a frame of this share of the side.
BORDER = 0.12
# Pixels over which colours are smoothed to see how they vary within that.
SMOOTH = 3.0
# Widths of sources that are believed, pixels: single hot pixels are sharper.
NARROWEST, WIDEST = 0.9, 15.0
# Smoothed light above so many standard deviations of the noise before smoothing belongs to a source.
DETECTION = 4.0


@dataclass(frozen=True, kw_only=True)
class SurveyLook:
    """Distributions of what was measured of a survey's pictures.

    Attributes
    ----------
    side : pixels a side of the pictures; lengths are in these pixels.
    pictures : how many were measured.
    quantiles : of each of QUANTITIES, at LEVELS.
    correlation : (Q, Q) of the normal scores of QUANTITIES, in their order.
    """

    side: int
    pictures: int
    quantiles: dict[str, tuple[float, ...]]
    correlation: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "SurveyLook":
        """The look that `to_dict` wrote; `GalaxAlignError` where a quantity is missing."""
        missing = [name for name in QUANTITIES if name not in plain["quantiles"]]
        if missing:
            raise GalaxAlignError(f"a survey's look lacks the quantity {missing[0]!r}: measure the survey again")
        return cls(
            side=int(plain["side"]),
            pictures=int(plain["pictures"]),
            quantiles={name: tuple(map(float, plain["quantiles"][name])) for name in QUANTITIES},
            correlation=tuple(tuple(map(float, row)) for row in plain["correlation"]),
        )


def write_look(*, images: Path, look: Path) -> None:
    """Measure a store's good pictures that none is judged by, in training or unlabelled, and write the look as JSON."""
    store = read_store(images)
    rows = np.flatnonzero(np.isin(store.split, ("train", "")) & (store.flag == ""))
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:ENOUGH])
    if len(chosen) < FEWEST:
        raise GalaxAlignError(
            f"{images} has {len(chosen)} good pictures in training or without a label, too few to tell what the survey "
            f"looks like: give at least {FEWEST}, or set living.matched to false"
        )
    look.write_text(json.dumps(measure_look(store.pictures(chosen)).to_dict(), indent=1) + "\n")


def read_look(path: Path) -> SurveyLook:
    """The look that `write_look` wrote; `GalaxAlignError` where the file is none."""
    try:
        return SurveyLook.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GalaxAlignError(f"{path} is no look of a survey ({error}): remove it and run again") from error


def measure_look(pictures: NDArray[np.uint8]) -> SurveyLook:
    """What pictures (N, H, W, 3), one galaxy in the middle of each, look like."""
    rows = [measure(picture) for picture in progress(pictures, total=len(pictures), what="look", unit="pictures")]
    table = np.array([[row[name] for name in QUANTITIES] for row in rows])
    quantiles = {}
    for column, name in zip(table.T, QUANTITIES, strict=True):
        known = column[np.isfinite(column)]
        # A quantity that hardly any picture shows is taken as typical of cut-outs of galaxies.
        values = known if len(known) >= FEWEST else np.array([UNSEEN[name]])
        quantiles[name] = tuple(float(q) for q in np.quantile(values, LEVELS).round(5))
    return SurveyLook(
        side=pictures.shape[1], pictures=len(pictures), quantiles=quantiles, correlation=_correlation(table)
    )


def _correlation(table: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Correlation of the normal scores of the columns, each pair over the rows that know both; never singular."""
    chance = np.random.default_rng(0)
    scores = np.full_like(table, np.nan)
    for column, score in zip(table.T, scores.T, strict=True):
        known = np.flatnonzero(np.isfinite(column))
        # Ties are broken at random, so that they tell nothing.
        order = known[np.lexsort((chance.uniform(size=len(known)), column[known]))]
        score[order] = ndtri((np.arange(len(known)) + 0.5) / len(known))
    known = np.isfinite(scores).astype(np.float64)
    filled = np.nan_to_num(scores)
    power = np.sqrt((filled**2).T @ known * (known.T @ filled**2))
    both = np.divide(
        filled.T @ filled, power, out=np.zeros_like(power), where=(known.T @ known >= FEWEST) & (power > 0)
    )
    np.fill_diagonal(both, 1.0)
    values, vectors = np.linalg.eigh(both)
    repaired = (vectors * values.clip(0.01, None)) @ vectors.T
    scale = np.sqrt(np.diag(repaired))
    return tuple(tuple(float(r) for r in row) for row in (repaired / np.outer(scale, scale)).round(4))


def measure(picture: NDArray[np.uint8]) -> dict[str, float]:
    """One picture (H, W, 3); values between 0 and 1, lengths in pixels, NaN for what it does not show.

    Returns
    -------
    sky, noise : level and standard deviation of the empty border in each colour; of the brighter half, as black may be
        cut off.
    grain : standard deviation s of the Gaussian that white noise would be smoothed by to be as coarse as this
        noise: neighbours then correlate by exp(-1 / (4 s^2)).
    shared_noise : correlation of the noise between colours.
    psf : full width at half maximum of the sharpest source beside the galaxy.
    radius, axis_ratio, offset : of the galaxy above the noise: that of a circle as large; from second moments;
        of its brightest place from the middle of the frame.
    fringe : pixels between the centroids of red and of blue light, where the colours do not lie on one another.
    concentration : radius that holds half of its (displayed) light, over `radius`.
    peak : brightness of its brightest place.
    core, outer : logarithm of red and of blue over green, within 0.35 of its radius and outside 0.5.
    mottle : standard deviation, from pixel to pixel, of the logarithm of red over blue between 0.3 and 0.7 of its
        radius: the noise of its own light.
    neighbours, neighbour_peak : how many other sources there are, and the peak of the brightest.
    """
    values: Picture = np.divide(picture, 255, dtype=np.float32)
    sky, noise, empty = _sky(values)
    above = values - sky
    bright = above.mean(axis=2)
    smooth = ndimage.gaussian_filter(bright, 1.0)
    grain, shared = _grain(above, empty)
    spread = float(np.sqrt(np.mean(noise**2)) * np.sqrt(max(shared, 1 / 3)))
    sources, _ = ndimage.label(smooth > max(DETECTION * spread, 0.02))
    found = {
        **{f"sky_{c}": v for c, v in zip(("red", "green", "blue"), map(float, sky), strict=True)},
        **{f"noise_{c}": v for c, v in zip(("red", "green", "blue"), map(float, noise), strict=True)},
        "grain": grain,
        "shared_noise": shared,
    }
    galaxy, shape = _galaxy(above, smooth, sources)
    return found | shape | _neighbours(bright, smooth, galaxy, spread)


def border_width(side: int) -> int:
    """Pixels of the border in which sky is measured, of pictures of a side of so many."""
    return max(3, round(BORDER * side))


def _sky(values: Picture) -> tuple[Picture, Picture, Mask]:
    """Level and noise of each colour in the border, and where there is nothing else."""
    side = len(values)
    width = border_width(side)
    border = np.ones((side, side), bool)
    border[width:-width, width:-width] = False
    sky = np.median(values[border], axis=0)
    bright = ndimage.gaussian_filter((values - sky).mean(axis=2), 1.5)
    spread = 1.4826 * np.median(np.abs(bright[border] - np.median(bright[border])))
    empty = border & (bright < np.median(bright[border]) + 3 * spread + 1 / 255)
    sky = values[empty].mean(axis=0)
    excess = values[empty] - np.median(values[empty], axis=0)
    # Rounding to whole levels hides noise below a third of one.
    noise = np.sqrt(2 * np.square(excess.clip(0, None)).mean(axis=0))
    return sky.astype(np.float32), np.maximum(noise, 0.3 / 255).astype(np.float32), empty


def _grain(above: Picture, empty: Mask) -> tuple[float, float]:
    """Coarseness of the noise, and its correlation between colours."""
    inner = ndimage.binary_erosion(empty, iterations=1)
    noise = np.where(inner[..., None], above - above[empty].mean(axis=0), 0)
    both = [noise[1:] * noise[:-1], noise[:, 1:] * noise[:, :-1]]
    pairs = [inner[1:] & inner[:-1], inner[:, 1:] & inner[:, :-1]]
    power = float(np.square(noise).sum()) / max(int(inner.sum()), 1)
    near = sum(float(b.sum()) for b in both) / max(sum(int(p.sum()) for p in pairs), 1)
    neighbour = float(np.clip(near / max(power, 1e-12), 0.02, 0.97))
    if inner.sum() < 30:
        return 0.5, 0.3
    colours = np.corrcoef(noise[inner].T + 1e-9 * np.eye(3, int(inner.sum())))
    return float(np.sqrt(-1 / (4 * np.log(neighbour)))), float(np.clip(colours[np.triu_indices(3, 1)].mean(), 0, 0.98))


def _galaxy(above: Picture, smooth: Picture, sources: NDArray[np.int32]) -> tuple[Mask, dict[str, float]]:
    """The source in the middle: where it is, and its shape and colours."""
    side = len(smooth)
    middle = (side - 1) / 2
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    near = np.hypot(rows - middle, columns - middle) < 0.14 * side
    top = np.unravel_index(np.argmax(np.where(near, smooth, -1)), smooth.shape)
    mask = sources == sources[top] if sources[top] else np.hypot(rows - top[0], columns - top[1]) < 2
    light = np.where(mask, smooth, 0).clip(1e-4 * mask, None)
    total = float(light.sum())
    y, x = float((rows * light).sum()) / total, float((columns * light).sum()) / total
    yy, xx, xy = (float((a * b * light).sum()) / total for a, b in _pairs(rows - y, columns - x))
    root = np.hypot(xx - yy, 2 * xy)
    radius = float(np.sqrt(mask.sum() / np.pi))
    distance = np.hypot(rows - top[0], columns - top[1])
    order = np.argsort(distance[mask])
    grown = np.cumsum(light[mask][order])
    half = float(distance[mask][order][np.searchsorted(grown, 0.5 * total)])
    core = mask & (distance <= max(0.35 * radius, 1.5))
    outer = mask & (distance > 0.5 * radius) & (distance < 1.2 * radius)
    shape = {
        "radius": radius,
        "concentration": max(half, 0.5) / radius,
        "axis_ratio": float(np.sqrt(max(xx + yy - root, 0.05) / max(xx + yy + root, 0.05))),
        "offset": float(distance[round(middle), round(middle)]),
        "fringe": _fringe(above, mask, rows, columns),
        "peak": float(smooth[top]),
    }
    for name, part in (("core", core), ("outer", outer if outer.sum() > 4 else core)):
        red, green, blue = above[part].mean(axis=0).clip(2 / 255, None)
        shape |= {f"{name}_red": float(np.log(red / green)), f"{name}_blue": float(np.log(blue / green))}
    ring = mask & (distance > 0.3 * radius) & (distance < 0.7 * radius)
    return mask, shape | {"mottle": _mottle(above, ring)}


def _mottle(above: Picture, ring: Mask) -> float:
    red, _, blue = above.clip(4 / 255, None).transpose(2, 0, 1)
    colour = np.where(ring, np.log(red / blue), 0)
    weight = ndimage.gaussian_filter(ring.astype(np.float32), SMOOTH)
    rest = colour - ndimage.gaussian_filter(colour, SMOOTH) / weight.clip(1e-3, None)
    return float(rest[ring].std()) if ring.any() else float("nan")


def _fringe(above: Picture, mask: Mask, rows: Picture, columns: Picture) -> float:
    red, _, blue = above[mask].clip(1e-4, None).T
    red, blue = red / red.sum(), blue / blue.sum()
    return float(np.hypot(((red - blue) * rows[mask]).sum(), ((red - blue) * columns[mask]).sum()))


def _pairs(y: Picture, x: Picture) -> list[tuple[Picture, Picture]]:
    return [(y, y), (x, x), (x, y)]


def _neighbours(bright: Picture, smooth: Picture, galaxy: Mask, spread: float) -> dict[str, float]:
    """The other sources: local maxima away from the galaxy."""
    highest = ndimage.maximum_filter(smooth, 7)
    away = ~ndimage.binary_dilation(galaxy, iterations=3)
    places = np.argwhere((smooth == highest) & away & (smooth > max(2 * DETECTION * spread, 0.06)))
    peaks = [float(smooth[row, column]) for row, column in places]
    inside = [(r, c) for r, c in places if 2 <= r < len(smooth) - 2 and 2 <= c < len(smooth) - 2]
    widths = [_width(linear(bright[r - 1 : r + 2, c - 1 : c + 2])) for r, c in inside]
    return {
        "neighbours": float(len(peaks)),
        "neighbour_peak": max(peaks, default=float("nan")),
        "psf": min((w for w in widths if NARROWEST < w < WIDEST), default=float("nan")),
    }


def _width(patch: Picture) -> float:
    """FWHM of a Gaussian through the 3 x 3 pixels around a maximum; NaN where they fall off like none."""
    logs = np.log(patch.clip(1e-4, None))
    drop = logs[1, 1] - (logs[0, 1] + logs[2, 1] + logs[1, 0] + logs[1, 2]) / 4
    return float(2.3548 / np.sqrt(2 * drop)) if drop > 0 else float("nan")


def linear(shown: Picture) -> Picture:
    """Brightness before the stretch, of DEPTH, that made `shown`."""
    flux: Picture = np.sinh(shown.clip(0, None) * DEPTH) / np.sinh(DEPTH)
    return flux
