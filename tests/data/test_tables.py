"""The same catalogue in every format, cells of every type, and tables that are none."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import Angle, SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galaxalign.data.cells import degrees, loses_digits, numbers, texts
from galaxalign.data.tables import FORMATS, open_table
from galaxalign.errors import GalaxAlignError

# Neighbours that no float64 tells apart.
IDS = [587722952767439450, 587722952767439451, 1237648720693755918]
NAMES = ["a.jpg", "b/c.jpg", "ü.jpg"]
RA = [0.1, 359.9999999, 180.0]


def write(path, table):
    """A table in the format of the file's name, as its own library writes it."""
    match path.name.partition(".")[2]:
        case "tsv" | "tsv.gz" | "tsv.bz2" | "tsv.xz":
            table.to_pandas().to_csv(path, index=False, sep="\t")
        case "csv" | "csv.gz" | "csv.bz2" | "csv.xz":
            table.to_pandas().to_csv(path, index=False)
        case "ecsv":
            table.write(path, format="ascii.ecsv")
        case "parquet" | "pq":
            table.to_pandas().to_parquet(path)
        case "fits" | "fit" | "fits.gz":
            names = fits.Column("name", "20A", array=np.array([name.encode("ascii", "replace") for name in NAMES]))
            columns = [names, fits.Column("objid", "K", array=IDS), fits.Column("ra", "D", array=RA)]
            image = fits.ImageHDU(np.zeros((4, 4)))
            fits.HDUList([fits.PrimaryHDU(), image, fits.BinTableHDU.from_columns(columns)]).writeto(path)
        case "vot" | "votable" | "xml":
            table.write(path, format="votable")
        case "h5" | "hdf5":
            with h5py.File(path, "w") as file:
                file["objid"], file["ra"] = IDS, RA
                file["name"] = NAMES
                file["images"] = np.zeros((3, 2, 2))
    return path


@pytest.mark.parametrize("suffix", [name.removeprefix(".") for name in FORMATS])
def test_a_catalogue_in_every_format(tmp_path, suffix):
    path = write(tmp_path / f"t.{suffix}", Table({"objid": IDS, "name": NAMES, "ra": RA}))
    table = open_table(path)
    assert set(table.names) == {"objid", "name", "ra"}
    cells = table.read(["ra", "objid", "name", "objid"]).cells
    assert list(cells.columns) == ["ra", "objid", "name"]
    assert texts(cells["objid"]).tolist() == list(map(str, IDS))
    assert texts(cells["name"]).tolist()[:2] == NAMES[:2]
    assert degrees(cells["ra"], "ra").tolist() == RA
    assert not loses_digits(cells["objid"])


def test_a_compound_data_set_of_hdf5(tmp_path):
    rows = np.array([(IDS[0], 1.5, [1, 2]), (IDS[1], 2.5, [3, 4])], [("id", "i8"), ("ra", ">f4"), ("pair", "i4", (2,))])
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["group/catalogue"] = rows
        file["group/dec"] = [3.0, 4.0]
    table = open_table(tmp_path / "t.h5")
    assert table.names == ("id", "ra", "group/dec")
    cells = table.read(["id", "ra", "group/dec"]).cells
    assert texts(cells["id"]).tolist() == [str(IDS[0]), str(IDS[1])]
    assert cells["ra"].tolist() == [1.5, 2.5]


def test_tables_of_hdf5_are_not_mixed(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for name, field, values in (("a", "label", [3, 1]), ("b", "ra", [1.0, 3.0])):
            file[name] = np.array(list(zip([1, 2], values, strict=True)), [("id", "i8"), (field, "f8")])
    assert open_table(tmp_path / "t.h5").names == ("a/id", "a/label", "b/id", "b/ra")
    assert open_table(tmp_path / "t.h5").read(["a/id", "a/label"]).cells["a/label"].tolist() == [3, 1]


def test_masked_cells_of_hdf5_are_empty(tmp_path):
    table = Table({"id": [1, 2], "ra": [150.0, 151.0]}, masked=True)
    table["ra"].mask = [True, False]
    table.write(tmp_path / "t.h5", path="t", serialize_meta=True)
    found = open_table(tmp_path / "t.h5")
    assert {"id", "ra"} <= set(found.names)
    assert "ra.mask" not in found.names
    np.testing.assert_array_equal(found.read(["ra"]).cells["ra"], [np.nan, 151.0])


def test_columns_of_hdf5_that_differ_in_length(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["id"], file["ra"] = [1, 2], [3.0]
    with pytest.raises(GalaxAlignError, match="differ in length: id has 2, ra has 1"):
        open_table(tmp_path / "t.h5").read(["id", "ra"])


def test_a_lying_length_of_hdf5_is_not_believed(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("id", (10**10,), np.int64, chunks=(1000,))
    with pytest.raises(GalaxAlignError, match="'id' claims 10000000000 rows, more than a file of its size can hold"):
        open_table(tmp_path / "t.h5").read(["id"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is limited, and counted, by Linux alone")
def test_a_text_of_hdf5_that_lies_about_its_length_takes_no_memory(tmp_path):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file["name"] = NAMES
        place = file["name"].id.get_offset()
    content = bytearray(path.read_bytes())
    assert content[place : place + 4] == struct.pack("<I", len(NAMES[0]))
    content[place : place + 4] = struct.pack("<I", 0x90000005)
    path.write_bytes(content)
    script = """if True:
        import resource, sys
        from pathlib import Path
        from galaxalign.data.tables import open_table
        def peak():
            # Not ru_maxrss, which a process inherits from the one that started it.
            return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
        limits, before = resource.getrlimit(resource.RLIMIT_AS), peak()
        try:
            open_table(Path(sys.argv[1])).read(["name"])
        except Exception as error:
            print(error)
        assert resource.getrlimit(resource.RLIMIT_AS) == limits
        print(peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    said, grown = done.stdout.splitlines()
    assert "t.h5 cannot be read" in said
    # KiB; the text claims 2.4 million of them.
    assert int(grown) < 300_000


def test_integers_with_empty_cells_keep_their_digits(tmp_path):
    pq.write_table(pa.table({"id": pa.array([IDS[1], None], pa.int64())}), tmp_path / "t.parquet")
    assert texts(open_table(tmp_path / "t.parquet").read(["id"]).cells["id"]).tolist() == [str(IDS[1]), ""]
    column = fits.Column("id", "K", array=np.array([IDS[1], -1]), null=-1)
    fits.BinTableHDU.from_columns([column]).writeto(tmp_path / "t.fits")
    assert texts(open_table(tmp_path / "t.fits").read(["id"]).cells["id"]).tolist() == [str(IDS[1]), ""]
    Table({"id": np.ma.array([IDS[1], 0], mask=[False, True])}).write(tmp_path / "t.vot", format="votable")
    assert texts(open_table(tmp_path / "t.vot").read(["id"]).cells["id"]).tolist() == [str(IDS[1]), ""]


def test_texts_of_cells_of_every_type():
    mixed = pd.Series([7, "007", 7.0, None, b"x ", 1.5, np.nan, IDS[0]], dtype=object)
    assert texts(mixed).tolist() == ["7", "007", "7", "", "x", "1.5", "", str(IDS[0])]
    assert texts(pd.Series([1.0, 0.1, np.nan, 1e300, -0.0])).tolist() == ["1", "0.1", "", "1e+300", "0"]
    assert texts(pd.Series([0.1, 17], dtype=np.float32)).tolist() == ["0.1", "17"]
    assert texts(pd.Series([True, False])).tolist() == ["True", "False"]
    assert texts(pd.Series([" a ", "b"], dtype=str)).tolist() == ["a", "b"]
    assert texts(pd.Series(np.array([2**64 - 1], np.uint64))).tolist() == [str(2**64 - 1)]


def test_floats_that_skip_numbers_have_lost_digits():
    # Which may have been 2^24 + 1.
    assert loses_digits(pd.Series([2.0**24], dtype=np.float32))
    assert not loses_digits(pd.Series([2.0**24 - 1], dtype=np.float32))
    assert loses_digits(pd.Series([float(IDS[0]), np.nan]))
    assert loses_digits(pd.Series(["a", float(IDS[0])], dtype=object))
    assert loses_digits(pd.Series([2.0**53]))
    assert not loses_digits(pd.Series([2.0**53 - 1, 1 - 2.0**53]))
    assert not loses_digits(pd.Series(IDS))


def test_numbers_empty_cells_and_nonsense():
    values, bad = numbers(pd.Series([" 1.5", "1e-3", "", "NaN", "None", "--", "1,5", "inf", "x"], dtype=str))
    np.testing.assert_array_equal(values, [1.5, 1e-3, *[np.nan] * 7])
    assert bad.tolist() == [False] * 6 + [True] * 3
    values, bad = numbers(pd.Series([1.0, np.inf, np.nan]))
    np.testing.assert_array_equal(values, [1.0, np.nan, np.nan])
    assert bad.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("said", "axis", "angle"),
    [
        ("12:34:56.7", "ra", 188.73625),
        ("12 34 56.7", "ra", 188.73625),
        ("12h34m56.7s", "ra", 188.73625),
        ("188d44m10.5s", "ra", 188.73625),
        ("-00:30:00", "dec", -0.5),
        ("\u22120:30:00", "dec", -0.5),
        ("+01d30'36\"", "dec", 1.51),
        ("01 30 36", "dec", 1.51),
        ("01h30m36s", "dec", 1.51),
        ("-90", "dec", -90.0),
        ("-12.5", "ra", 347.5),
        ("360", "ra", 360.0),
        ("24:00:01", "ra", np.nan),
        ("12:60:00", "ra", np.nan),
        ("90.0001", "dec", np.nan),
        ("12h", "ra", np.nan),
        ("", "ra", np.nan),
        ("nan", "dec", np.nan),
    ],
)
def test_positions(said, axis, angle):
    np.testing.assert_allclose(degrees(pd.Series([said], dtype=str), axis), [angle], rtol=1e-12)


@settings(deadline=None)
@given(
    st.floats(0, 359.99, allow_nan=False), st.floats(-89.99, 89.99, allow_nan=False), st.sampled_from([":", " ", "hms"])
)
def test_sexagesimal_positions_are_those_of_astropy(ra, dec, separator):
    units = {"hms": {"ra": "hms", "dec": "dms"}}.get(separator, {"ra": separator, "dec": separator})
    for axis, value, unit in (("ra", ra, "hourangle"), ("dec", dec, "deg")):
        said = Angle(value, "deg").to_string(unit=unit, sep=units[axis], precision=6, alwayssign=axis == "dec")
        np.testing.assert_allclose(degrees(pd.Series([said], dtype=str), axis), [value], atol=1e-8)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"\xff\xfe\x00\x01", "cannot be read"),
        ("a.csv.gz", b"id\n1\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"id,b\n" + b"1,2\n" * 999, mtime=0)[:40], "cannot be read"),
        ("a.ecsv", b"id ra\n1 2\n", "cannot be read"),
        ("a.parquet", b"nothing", "cannot be read"),
        ("a.fits", b"nothing", "cannot be read"),
        ("a.vot", b"<html><body>404</body></html>", "cannot be read"),
        ("a.xml", b"<VOTABLE>", "cannot be read"),
        ("a.h5", b"nothing", "cannot be read"),
        ("a.xlsx", b"nothing", "ends in '.xlsx': give it as one of .*.csv"),
        ("a.csv", b"id,ra\n", "has no rows"),
    ],
)
def test_tables_that_are_none(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GalaxAlignError, match=words):
        open_table(tmp_path / name).read(["id"])


@pytest.mark.parametrize("suffix", ["ecsv", "parquet", "fits", "vot", "h5"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_tables_that_are_cut_off(tmp_path, suffix, share):
    rows = 5000
    table = Table({"id": np.arange(rows), "ra": np.linspace(0, 1, rows), "name": [f"{row}.jpg" for row in range(rows)]})
    path = tmp_path / f"t.{suffix}"
    if suffix == "h5":
        with h5py.File(path, "w") as file:
            for name in ("id", "ra"):
                file[name] = table[name]
    elif suffix == "parquet":
        table.to_pandas().to_parquet(path)
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "vot": "votable"}.get(suffix))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    if suffix == "ecsv":
        # A text cut at a line's end is a shorter table; cut within one it may lack cells.
        path.write_bytes(path.read_bytes().rsplit(b"\n", 1)[0] + b"\n1")
    with pytest.raises(GalaxAlignError, match=r"t\..* cannot be read"):
        open_table(path).read(["id", "ra"])


def test_a_table_beyond_the_memory_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    path = write(tmp_path / "t.fits", Table({"objid": IDS, "name": NAMES, "ra": RA}))
    table = open_table(path)

    def full(*_):
        raise MemoryError

    monkeypatch.setattr("galaxalign.data.fits_tables._fits_column", full)
    with pytest.raises(GalaxAlignError, match=r"t\.fits takes more memory than there is: save it as \.parquet"):
        table.read(["objid"])


def test_a_damaged_header_is_not_read_for_ever(tmp_path):
    path = write(tmp_path / "t.fits", Table({"objid": IDS, "name": NAMES, "ra": RA}))
    content = path.read_bytes().replace(b"SIMPLE  =                    T", b"SIMPLE  =                    X", 1)
    (tmp_path / "t.fits.gz").write_bytes(gzip.compress(content[:4000]))
    script = """if True:
        import resource, sys
        from pathlib import Path
        from galaxalign.data.tables import open_table
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        try:
            open_table(Path(sys.argv[1]))
        except Exception as error:
            print(error)
    """
    words = [sys.executable, "-c", script, str(tmp_path / "t.fits.gz")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "t.fits.gz cannot be read (unit 0 is damaged)" in done.stdout) == (0, True)


def test_a_fits_file_without_a_table(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "a.fits")
    with pytest.raises(GalaxAlignError, match="it has no extension with a table"):
        open_table(tmp_path / "a.fits")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with one catalogue in every format."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in FORMATS:
        write(folder / f"t{suffix}", Table({"objid": IDS, "name": NAMES, "ra": RA}))
    return folder


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(FORMATS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    st.floats(0.2, 1),
)
def test_damaged_tables_are_errors_or_tables(tmp_path, whole, suffix, wounds, share):
    content = bytearray((whole / f"t{suffix}").read_bytes())
    for place, wound in wounds:
        start = int(place * len(content))
        content[start : start + len(wound)] = wound
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content[: max(1, int(share * len(content)))])
    try:
        table = open_table(path)
        cells = table.read(table.names[:3]).cells
    except GalaxAlignError as error:
        assert str(path) in str(error)
        return
    for name in cells:
        assert len(texts(cells[name])) == len(cells)
        assert len(degrees(cells[name], "ra")) == len(cells)


def test_columns_of_positions_and_times_do_not_spoil_an_ecsv_file(tmp_path):
    table = QTable({"id": [1, 2], "place": SkyCoord([10, 20], [-1, 2], unit="deg"), "ra": [1.0, 2.0] * units.deg})
    table["when"] = Time([2000, 2001], format="jyear")
    table.write(tmp_path / "t.ecsv")
    found = open_table(tmp_path / "t.ecsv")
    assert {"id", "ra", "place.ra", "place.dec"} <= set(found.names)
    assert found.units["place.ra"] == "deg"
    cells = found.read(["place.ra", "place.dec", "ra"]).cells
    np.testing.assert_allclose(cells.to_numpy(), [[10, -1, 1], [20, 2, 2]])


def test_a_column_of_several_values_a_row_is_named(tmp_path):
    pairs = fits.Column("id", "2K", array=[[1, 2], [3, 4]])
    fits.BinTableHDU.from_columns([pairs]).writeto(tmp_path / "t.fits")
    with pytest.raises(GalaxAlignError, match="column 'id' has 2 values a row, one is expected"):
        open_table(tmp_path / "t.fits").read(["id"])


def test_ids_that_were_floats_when_they_became_text():
    assert loses_digits(pd.Series(["1.237648720693756e+18", "1.2376487206937561e+18", "7"], dtype=str))
    assert not loses_digits(pd.Series(["1.237648720693756e+18", "8", "7"], dtype=str))
    assert loses_digits(pd.Series(["1e+18"], dtype=str))
    # As Java writes them.
    assert loses_digits(pd.Series(["5.8772298174706496E17"], dtype=str))
    # Ids that only look like them, and numbers that lost nothing.
    assert not loses_digits(pd.Series(["73e19", "1.2e+03", "1237648720693755918", "J1.2e+18"], dtype=str))
