"""A cutout service: what it is asked, and whether its answer is what was asked for."""

import io
import time
import urllib.parse
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits
from PIL import Image

from galaxalign.data.bands import band_names
from galaxalign.data.units import BITPIX, MAX_AXES, MAX_HEADER, read_cards
from galaxalign.data.web import Passing, Refused, answer, first_words

SUFFIXES = {"fits": ".fits", "jpg": ".jpg"}
# Bytes taken at a time.
CHUNK = 2**16
# The longest that one answer may take, seconds.
SECONDS_AN_ANSWER = 300.0


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

    def request(self, ra: float, dec: float) -> str:
        """The address of a cutout, positions to a millionth of a degree."""
        return self.url.format(
            ra=f"{ra:.6f}",
            dec=f"{dec:.6f}",
            layer=urllib.parse.quote(self.layer),
            bands=urllib.parse.quote(self.bands),
            pixscale=f"{self.pixscale:g}",
            size=self.size,
            format=self.format,
        )


def read_cutout(url: str, service: Service) -> bytes:
    """The body of a cutout, whole and of what was asked for.

    Raises
    ------
    Passing
        No answer, part of a body, a page in place of an image: it may go better a little later.
    Refused
        Another size than asked for, no image at this place, or a status that says so.
    """
    largest = 4 * service.size**2 * max(1, len(service.bands)) * 2 + 2**20
    start, body = time.monotonic(), bytearray()
    with answer(url, {}) as response:
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
    (_check_fits if service.format == "fits" else _check_jpeg)(bytes(body), service)
    return bytes(body)


def _check_fits(body: bytes, service: Service) -> None:
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
                shape, place = units[0].shape, units[0].fileinfo()
                said = band_names(str(units[0].header.get("BANDS", "")), single=False)
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
