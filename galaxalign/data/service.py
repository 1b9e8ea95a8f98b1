"""A cutout service: what it is asked, and whether its answer is what was asked for."""

import io
import time
import urllib.parse
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from PIL import Image

from galaxalign.data.bands import band_names
from galaxalign.data.grids import Grid, NoGrid, pixel_sides, unit_vectors
from galaxalign.data.units import BITPIX, MAX_AXES, MAX_HEADER, read_cards
from galaxalign.data.web import Passing, Refused, answer, first_words

SUFFIXES = {"fits": ".fits", "jpg": ".jpg"}
# Bytes taken at a time.
CHUNK = 2**16
# The longest that one answer may take, seconds.
SECONDS_AN_ANSWER = 300.0
# How many pixels an image may lie aside of what was asked for, and by what share its pixels may differ in size.
ASIDE, SCALE = 3.0, 0.05


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a service is asked for: the address of a cutout, and its position in degrees."""

    url: str
    ra: float = field(compare=False)
    dec: float = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is asked of a cutout service, and how politely: the keys of ``legacy_survey`` in the configuration.

    Attributes
    ----------
    url : of a cutout, with ``{ra} {dec} {layer} {bands} {pixscale} {size} {format}`` in it.
    format : fits or jpg.
    layer, bands : of the survey; a band a letter.
    pixscale : arcsec per pixel.
    size : pixels along a side.
    requests_per_second : at most, of all connections together.
    connections : at once.
    attempts : for each cutout.
    cache : folder of what was fetched, shared by data sets.
    """

    url: str
    format: str
    layer: str
    bands: str
    pixscale: float
    size: int
    requests_per_second: float
    connections: int
    attempts: int
    cache: Path

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Service":
        """Read the configuration's ``legacy_survey``, of which other keys are left alone."""
        known = {name: settings[name] for name in cls.__dataclass_fields__}
        return cls(**known | {"cache": Path(settings["cache"]), "pixscale": float(settings["pixscale"])})

    @property
    def suffix(self) -> str:
        """Of the files."""
        return SUFFIXES[self.format]

    def request(self, ra: float, dec: float) -> Request:
        """The request for a cutout, positions to a millionth of a degree."""
        url = self.url.format(
            ra=f"{ra:.6f}",
            dec=f"{dec:.6f}",
            layer=urllib.parse.quote(self.layer),
            bands=urllib.parse.quote(self.bands),
            pixscale=f"{self.pixscale:g}",
            size=self.size,
            format=self.format,
        )
        return Request(url=url, ra=ra, dec=dec)


def read_cutout(request: Request, service: Service) -> bytes:
    """The body of a cutout, whole and of what was asked for.

    Raises
    ------
    Passing
        No answer, part of a body, a page in place of an image: it may go better a little later.
    Refused
        Another size, position or pixel scale than asked for, no image at this place, or a status that says so.
    """
    largest = 4 * service.size**2 * max(1, len(service.bands)) * 2 + 2**20
    start, body = time.monotonic(), bytearray()
    with answer(request.url, {}) as response:
        coming = response.headers.get("Content-Length")
        while chunk := response.read1(CHUNK):
            body += chunk
            if len(body) > largest:
                raise Refused(f"the answer is larger than {largest} bytes")
            if time.monotonic() - start > SECONDS_AN_ANSWER:
                raise Passing(f"the answer took longer than {SECONDS_AN_ANSWER:g} s")
    if coming is not None and coming.isdecimal() and len(body) < int(coming):
        raise Passing(f"{int(coming) - len(body)} of {coming} bytes are missing")
    if not body:
        raise Passing("the answer is empty")
    if service.format == "fits":
        _check_fits(bytes(body), service, request)
    else:
        _check_jpeg(bytes(body), service)
    return bytes(body)


def _check_fits(body: bytes, service: Service, request: Request) -> None:
    if not body.startswith(b"SIMPLE  ="):
        raise Passing(f"the answer is no FITS file but says: {first_words(body)}")
    # astropy would believe any number of axes, and any kind of values until they are read.
    cards = read_cards(body[:MAX_HEADER])
    if cards.get("BITPIX") not in BITPIX or cards.get("NAXIS") not in range(MAX_AXES + 1):
        raise Passing(f"a damaged FITS file: BITPIX {cards.get('BITPIX')}, NAXIS {cards.get('NAXIS')}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(body)) as units:
                shape, place, header = units[0].shape, units[0].fileinfo(), units[0].header
                said = band_names(str(header.get("BANDS", "")), single=False)
        except Exception as error:  # astropy raises a score of kinds on damaged headers
            raise Passing(f"the answer is a damaged FITS file: {error}") from error
    if not shape:
        raise Refused("the service has no image at this position")
    size, bands = service.size, len(service.bands)
    if shape not in {(bands, size, size), (size, size) if bands == 1 else (bands, size, size)}:
        raise Refused(f"the image has the shape {shape}, ({bands}, {size}, {size}) was asked for")
    if said and said != band_names(service.bands, single=False):
        raise Refused(f"the image has the bands {''.join(said)}, {service.bands} were asked for")
    if place["datLoc"] + place["datSpan"] > len(body):
        raise Passing("the FITS file ends before its image does")
    _check_sky(header, service, request)


def _check_sky(header: fits.Header, service: Service, request: Request) -> None:
    """Raise `Refused` where a header says that its image shows other sky than was asked for, or in other pixels."""
    try:
        grid = Grid.from_header(header)
    except NoGrid:
        return
    middle = np.array([[grid.width - 1], [grid.height - 1]]) / 2
    ra, dec = grid.sky(*middle)
    (pixel,) = pixel_sides(grid.axes(ra, dec))
    if not abs(pixel / service.pixscale - 1) <= SCALE:
        raise Refused(f"the image has pixels of {pixel:.4g} arcsec, {service.pixscale:g} were asked for")
    wanted = unit_vectors(np.array([request.ra]), np.array([request.dec]))
    aside = 3600 * np.degrees(np.linalg.norm(unit_vectors(ra, dec) - wanted))
    if not aside <= ASIDE * service.pixscale:
        asked = f"{request.ra:.6f} {request.dec:+.6f} was asked for"
        raise Refused(f"the middle of the image lies at RA, Dec {ra[0]:.6f} {dec[0]:+.6f}, {asked}")


def _check_jpeg(body: bytes, service: Service) -> None:
    if not body.startswith(b"\xff\xd8"):
        raise Passing(f"the answer is no JPEG file but says: {first_words(body)}")
    try:
        with Image.open(io.BytesIO(body), formats=["JPEG"]) as image:
            if image.size != (service.size, service.size):
                wanted = f"{service.size} x {service.size}"
                raise Refused(f"the picture is {image.width} x {image.height}, {wanted} was asked for")
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Passing(f"the JPEG file is damaged: {error}") from error
