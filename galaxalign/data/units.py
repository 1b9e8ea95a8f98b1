"""The header-data units of a FITS file, found without trusting it.

A header may say anything: nothing is allocated or read because a header asks for it before the size has been held
against the file's own and against `MAX_VALUES`.  What gzip or bzip2 packed is unpacked piece by piece, and no
further than `MAX_UNPACKED`.
"""

import bz2
import gzip
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from galaxalign.data.flags import BadImage

# More values than any cutout has: four bands of 4096 x 4096.
MAX_VALUES = 2**26
# Bytes that one compressed file may unpack to.
MAX_UNPACKED = 2**29
# Bytes of a header; the longest of real surveys have a tenth.
MAX_HEADER = 2**22
BLOCK = 2880
CARD = 80
PIECE = 2**20
BITPIX = (8, 16, 32, 64, -32, -64)
# Axes of an image and columns of a table, by the FITS standard.
MAX_AXES = 999
MAX_FIELDS = 999
# Not HCOMPRESS_1, whose decoder writes beyond its memory where a damaged tile tells it to.
ALGORITHMS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS")

_QUOTED = re.compile("'((?:[^']|'')*)'")

Value = str | int | float | bool


@dataclass(kw_only=True)
class Unit:
    """One header-data unit.

    Attributes
    ----------
    number : 0 is the primary one.
    header : values by keyword; of the cards that repeat, the last one's.
    raw : the header's bytes.
    shape : lengths of the axes of its image, slowest first; empty where it has none.
    compressed : whether the image is tile-compressed (``.fz``), its data then a binary table.
    start, size : of its data in the file, once unpacked, bytes.
    """

    number: int
    header: dict[str, Value]
    raw: bytes
    shape: tuple[int, ...]
    compressed: bool
    start: int
    size: int
    _stream: "_Stream"
    _read: bool = field(default=False)

    @property
    def name(self) -> str:
        """Its EXTNAME."""
        return str(self.header.get("EXTNAME", "")).strip()

    def read(self) -> bytes:
        """The bytes of its data, once.

        Raises `BadImage` where there are more of them than any cutout has, or fewer than the header says.
        """
        path = self._stream.path
        if math.prod(self.shape) > MAX_VALUES or self.size > 8 * MAX_VALUES:
            axes = " x ".join(map(str, reversed(self.shape)))
            raise BadImage("too_large", f"{path}: the image in unit {self.number} has {axes} values")
        self._read = True
        return self._stream.read(self.size)

    def skip(self) -> None:
        """Pass over the data, or what follows them up to the next header."""
        padding = -self.size % BLOCK
        self._stream.skip(padding if self._read else self.size + padding)


class _Stream:
    """A file's bytes in their order, unpacked, each read held against what is left."""

    def __init__(self, path: Path, file: BinaryIO | gzip.GzipFile | bz2.BZ2File, *, packed: bool) -> None:
        self.path, self._file, self.packed = path, file, packed
        self._length = 0 if packed else path.stat().st_size
        self.place = 0

    def read(self, size: int) -> bytes:
        """So many bytes; `BadImage` (truncated) where the file ends before."""
        found = self.read_up_to(size)
        if len(found) < size:
            raise BadImage("truncated", f"{self.path}: its last {size - len(found)} bytes are missing")
        return found

    def read_up_to(self, size: int) -> bytes:
        if not self.packed:
            size = min(size, self._length - self.place)
        self._count(size)
        try:
            return self._file.read(size)
        except EOFError as error:
            raise BadImage("truncated", f"{self.path}: {error}") from error
        except (OSError, zlib.error, ValueError) as error:
            raise BadImage("unreadable", f"{self.path}: {error}") from error

    def skip(self, size: int) -> None:
        if not self.packed:
            self._count(min(size, self._length - self.place))
            self._file.seek(self.place)
            return
        while size > 0:
            piece = self.read_up_to(min(size, PIECE))
            if not piece:
                return
            size -= len(piece)

    def finish(self) -> None:
        """Unpack what is left: only at its end does gzip tell whether the bytes are those that were packed."""
        while self.packed and self.read_up_to(PIECE):
            pass

    def _count(self, size: int) -> None:
        self.place += size
        if self.packed and self.place > MAX_UNPACKED:
            raise BadImage("too_large", f"{self.path} unpacks to more than {MAX_UNPACKED // 2**20} MiB")


@contextmanager
def open_units(path: Path) -> Iterator[Iterator[Unit]]:
    """The units of a FITS file in their order, each of which may be read before the next is asked for.

    Compression by gzip or bzip2 is known by the file's first bytes, whatever its name.

    Raises
    ------
    BadImage
        unreadable, truncated or too_large.
    """
    with path.open("rb") as plain:
        start = plain.read(3)
        plain.seek(0)
        if start[:2] == b"\x1f\x8b":
            stream = _Stream(path, gzip.GzipFile(fileobj=plain), packed=True)
        elif start == b"BZh":
            stream = _Stream(path, bz2.BZ2File(plain), packed=True)
        else:
            stream = _Stream(path, plain, packed=False)
        yield _units(stream)
        stream.finish()


def _units(stream: _Stream) -> Iterator[Unit]:
    number = 0
    bands: Value | None = None
    while raw := _read_header(stream, number):
        unit = _unit(stream, number, raw)
        bands = unit.header.get("BANDS") if number == 0 else bands
        # What the primary header names are the planes of the cube in an extension.
        if bands is not None and sum(side > 1 for side in unit.shape) > 2:
            unit.header.setdefault("BANDS", bands)
        yield unit
        unit.skip()
        number += 1


def _read_header(stream: _Stream, number: int) -> bytes:
    """Whole blocks up to the card END; none where no unit follows (what follows the last one is not looked at)."""
    first = b"SIMPLE  =" if number == 0 else b"XTENSION="
    raw = stream.read_up_to(BLOCK)
    if not raw.startswith(first):
        if number == 0:
            raise BadImage("unreadable", f"{stream.path} is no FITS file")
        return b""
    while True:
        if len(raw) % BLOCK:
            raise BadImage("truncated", f"{stream.path} ends in the header of unit {number}")
        block = raw[-BLOCK:]
        if any(block[place : place + 8] == b"END     " for place in range(0, BLOCK, CARD)):
            return raw
        if len(raw) >= MAX_HEADER:
            raise BadImage("unreadable", f"{stream.path}: the header of unit {number} does not end")
        block = stream.read_up_to(BLOCK)
        if not block:
            raise BadImage("truncated", f"{stream.path} ends in the header of unit {number}")
        raw += block


def read_cards(raw: bytes) -> dict[str, Value]:
    """Values by keyword of a header; comments and cards without a value are left out, and a value that FITS does not
    know is the text that stands there, which is no number to whoever needs one.
    """
    text = raw.decode("latin-1")
    cards = {}
    for place in range(0, len(text), CARD):
        keyword = text[place : place + 8].rstrip()
        if keyword == "END":
            break
        if text[place + 8 : place + 10] == "= " and keyword not in ("", "COMMENT", "HISTORY"):
            value = _value(text[place + 10 : place + CARD])
            if value is not None:
                cards[keyword] = value
    return cards


def _value(text: str) -> Value | None:
    text = text.lstrip()
    if text.startswith("'"):
        quoted = _QUOTED.match(text)
        return quoted[1].replace("''", "'").rstrip() if quoted else text.rstrip()
    word = text.partition("/")[0].strip()
    if word in ("T", "F"):
        return word == "T"
    try:
        return int(word)
    except ValueError:
        pass
    try:
        return float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        return word or None


def check_table(path: Path, unit: Unit) -> None:
    """Hold a table, such as that of a compressed image, against what astropy can be trusted with.

    Raises `BadImage` (unreadable) where it has more fields than the FITS standard allows, which take minutes, or its
    image is packed by none of `ALGORITHMS`.
    """
    algorithm = unit.header.get("ZCMPTYPE")
    if unit.compressed and algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise BadImage("unreadable", f"{path}: unit {unit.number} is packed by {algorithm}, known are {known}")
    fields = unit.header.get("TFIELDS")
    if not isinstance(fields, int) or not unit.compressed <= fields <= MAX_FIELDS:
        raise BadImage("unreadable", f"{path}: the table of unit {unit.number} has {fields} fields")


def _unit(stream: _Stream, number: int, raw: bytes) -> Unit:
    header = read_cards(raw)
    where = f"{stream.path}: unit {number}"
    bits = header.get("BITPIX")
    if bits not in BITPIX:
        raise BadImage("unreadable", f"{where} has a BITPIX of {bits}")
    axes = _axes(header, "NAXIS", where)
    groups = header.get("GROUPS") is True and axes[:1] == (0,)
    values = math.prod(axes[1:] if groups else axes) if axes else 0
    parameters, count = (_count(header, key, default, where) for key, default in (("PCOUNT", 0), ("GCOUNT", 1)))
    size = abs(int(bits)) // 8 * count * (parameters + values) if axes else 0
    compressed = header.get("ZIMAGE") is True and header.get("XTENSION") == "BINTABLE"
    if compressed:
        shape = _axes(header, "ZNAXIS", where)[::-1]
    else:
        shape = axes[::-1] if number == 0 or header.get("XTENSION") == "IMAGE" else ()
    return Unit(
        number=number,
        header=header,
        raw=raw,
        shape=shape if all(shape) else (),
        compressed=compressed,
        start=stream.place,
        size=size,
        _stream=stream,
    )


def _axes(header: dict[str, Value], keyword: str, where: str) -> tuple[int, ...]:
    """Lengths of the axes, fastest first."""
    axes = _count(header, keyword, 0, where)
    if axes > MAX_AXES:
        raise BadImage("unreadable", f"{where} has {axes} axes")
    return tuple(_count(header, f"{keyword}{axis}", None, where) for axis in range(1, axes + 1))


def _count(header: dict[str, Any], keyword: str, default: int | None, where: str) -> int:
    value = header.get(keyword, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadImage("unreadable", f"{where} has a {keyword} of {value}")
    return value
