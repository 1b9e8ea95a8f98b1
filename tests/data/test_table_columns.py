"""What files say of their columns: which values mean nothing, names of numbers, systems of positions, doubles."""

import gzip

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.units import Unit

from galaxalign.data.catalog import galaxies_of_catalogue
from galaxalign.data.cells import degrees, texts
from galaxalign.data.tables import open_table
from galaxalign.errors import GalaxAlignError

HEAD = '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>{}</RESOURCE></VOTABLE>'
ROW = "<DATA><TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA></DATA>"


def write(path, *columns, **changes):
    fits.BinTableHDU.from_columns(columns).writeto(path)
    if changes:
        with fits.open(path, mode="update") as units:
            units[1].header.update(changes)
    return open_table(path)


@pytest.mark.parametrize(
    ("format", "null", "scale", "zero", "stored", "wanted"),
    [
        # The value that means nothing is one that is stored, whatever it would be scaled.
        ("I", -9999, 0.01, 360, [-9999, 100], ["", "361"]),
        ("I", -1, 0.1, 1000, [-1, 100], ["", "1010"]),
        # Unsigned: 0 is stored as -32768, and the stored 0 is 32768.
        ("I", 0, 1, 32768, [0, -32768, 5], ["", "0", "32773"]),
        ("I", -32768, 1, 32768, [-32768, 7], ["", "32775"]),
        ("J", -(2**31), 1, 2**31, [-(2**31), 9], ["", str(2**31 + 9)]),
        ("K", 0, 1, 2**63, [0, -1], ["", str(2**63 - 1)]),
        ("K", -1, None, None, [-1, 587722952767439451], ["", "587722952767439451"]),
    ],
)
def test_the_value_that_means_nothing_is_the_stored_one(tmp_path, format, null, scale, zero, stored, wanted):
    kind = {"I": np.int16, "J": np.int32, "K": np.int64}[format]
    column = fits.Column("n", format, array=np.array(stored, kind))
    scaling = {} if scale is None else {"TSCAL1": scale, "TZERO1": zero}
    table = write(tmp_path / "t.fits", column, TNULL1=null, **scaling)
    assert texts(table.read(["n"]).cells["n"]).tolist() == wanted


MASKED = Table(
    {
        "id": MaskedColumn([587722952767439451, 587722952767439453, 7], mask=[False, False, True]),
        "people": MaskedColumn(np.array([40, 65535, 0], np.uint16), mask=[False, False, True]),
        "place": SkyCoord([10.0, 20.0, 30.0], [1.0, 2.0, 3.0], unit="deg"),
        "z": MaskedColumn([0.1, 0.2, 0.3], mask=[False, True, False]),
    }
)


@pytest.mark.parametrize("name", ["t.fits", "t.ecsv", "t.parquet", "t.h5"])
def test_what_astropy_masks_is_empty_and_no_digit_is_lost(tmp_path, name):
    MASKED.write(tmp_path / name, **({"path": "t", "serialize_meta": True} if name == "t.h5" else {}))
    table = open_table(tmp_path / name)
    assert table.names == ("id", "people", "place.ra", "place.dec", "z")
    cells = table.read(["z", "id", "people", "place.ra"]).cells
    assert texts(cells["id"]).tolist() == ["587722952767439451", "587722952767439453", ""]
    assert texts(cells["people"]).tolist() == ["40", "65535", ""]
    assert texts(cells["z"]).tolist() == ["0.1", "", "0.3"]
    assert degrees(cells["place.ra"], "ra").tolist() == [10, 20, 30]


def test_a_column_that_only_ends_in_mask_is_one(tmp_path):
    pq.write_table(pa.table({"id": [1, 2], "id.mask": [True, False]}), tmp_path / "t.parquet")
    assert open_table(tmp_path / "t.parquet").names == ("id", "id.mask")
    assert open_table(tmp_path / "t.parquet").read(["id"]).cells["id"].tolist() == [1, 2]


def test_an_integer_that_means_nothing_in_a_table_of_text(tmp_path):
    column = fits.Column("k", "I4", array=[3, 2, 1], null="---", ascii=True)
    fits.TableHDU.from_columns([column, fits.Column("id", "A2", array=["a", "b", "c"], ascii=True)]).writeto(
        tmp_path / "whole.fits"
    )
    # astropy writes numbers, where others write what TNULL says.
    whole = (tmp_path / "whole.fits").read_bytes()
    assert whole.count(b"   2b ") == 1
    (tmp_path / "t.fits").write_bytes(whole.replace(b"   2b ", b" ---b "))
    cells = open_table(tmp_path / "t.fits").read(["k", "id"]).cells
    assert texts(cells["k"]).tolist() == ["3", "", "1"]
    assert texts(cells["id"]).tolist() == ["a", "b", "c"]


def test_what_gzip_finds_damaged_is_not_read(tmp_path):
    write(tmp_path / "t.fits", fits.Column("ra", "D", array=np.arange(500.0)))
    whole = bytearray(gzip.compress((tmp_path / "t.fits").read_bytes(), compresslevel=0))
    place = whole.rfind(np.array(100.0, ">f8").tobytes())
    whole[place + 1] ^= 1
    (tmp_path / "t.fits.gz").write_bytes(whole)
    with pytest.raises(GalaxAlignError, match=r"t.fits.gz cannot be read \(CRC check failed"):
        open_table(tmp_path / "t.fits.gz")


def test_columns_without_a_name(tmp_path):
    path, nameless = tmp_path / "t.fits", b"TTYPE2  = 'x       '".ljust(80)
    columns = [fits.Column("id", "2A", array=["ab", "c"]), fits.Column("x", "J", array=[1, 2])]
    for more, words in (
        ([], None),
        ([fits.Column("l", "PJ()", array=np.array([[1], [2, 3]], object))], "column 2 has no"),
    ):
        path.unlink(missing_ok=True)
        write(path, *columns, *more)
        content = path.read_bytes()
        assert nameless in content
        path.write_bytes(content.replace(nameless, b"COMMENT".ljust(80)))
        if words is None:
            table = open_table(path)
            assert table.names == ("id", "Unnamed: 1")
            assert table.read(["id", "Unnamed: 1"]).cells.to_numpy().tolist() == [["ab", 1], ["c", 2]]
            with pytest.raises(GalaxAlignError, match="has no column 'name'"):
                galaxies_of_catalogue(path, tmp_path, {"id": "name"})
        else:
            with pytest.raises(GalaxAlignError, match=words):
                open_table(path)


def test_columns_of_one_value_a_row_however_it_is_laid_out(tmp_path):
    letters, lists = ([np.array(list(text)) for text in ("abc", "de")], np.array([[1, 2], [3]], object))
    columns = [
        fits.Column("id", "PA()", array=np.array(letters, object)),
        fits.Column("ra", "1D", array=[1.0, 2.0], dim="(1)"),
        fits.Column("list", "PJ()", array=lists),
    ]
    table = write(tmp_path / "t.fits", *columns)
    assert table.read(["id", "ra"]).cells.to_numpy().tolist() == [["abc", 1.0], ["de", 2.0]]
    with pytest.raises(GalaxAlignError, match="'list' has lists of values, one a row is expected"):
        table.read(["list"])


def test_units_of_hdf5_are_those_of_their_table(tmp_path):
    for name, unit in (("a", "rad"), ("b", "arcmin")):
        table = QTable({"id": ["x", "y"], "ra": [1, 2] * Unit(unit)})
        table.write(tmp_path / "t.h5", path=f"deep/{name}", serialize_meta=True, append=True)
    found = open_table(tmp_path / "t.h5")
    assert found.names == ("deep/a/id", "deep/a/ra", "deep/b/id", "deep/b/ra")
    assert found.units == {"deep/a/ra": "rad", "deep/b/ra": "arcmin"}


def test_what_astropy_says_of_columns_may_be_damaged(tmp_path):
    pq.write_table(pa.table({"id": [1]}).replace_schema_metadata({"table_meta_yaml": "{"}), tmp_path / "t.parquet")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["t"], file["t.__table_column_meta__"] = np.array([(1,)], [("id", "i8")]), [b"{"]
    for name in ("t.parquet", "t.h5"):
        with pytest.raises(GalaxAlignError, match=rf"{name} cannot be read \(what astropy says of its columns is no"):
            open_table(tmp_path / name)


def test_one_value_a_row_of_hdf5_may_have_axes_of_length_1(tmp_path):
    kind = h5py.enum_dtype({"spiral": 0, "merger": 1}, "i1")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["id"], file["ra"] = [[1], [2]], np.array([1.5, 2.5]).reshape(2, 1, 1)
        file["table"] = np.array(
            [([1], ["a"], [1, 2]), ([0], ["b"], [3, 4])], [("k", kind, 1), ("l", "S1", 1), ("two", "i8", 2)]
        )
        file["pair"], file["number"] = [[1, 2], [3, 4]], 7
    table = open_table(tmp_path / "t.h5")
    assert set(table.names) == {"id", "ra", "k", "l"}
    cells = table.read(["id", "ra", "k", "l"]).cells
    assert cells.to_numpy().tolist() == [[1, 1.5, "merger", "a"], [2, 2.5, "spiral", "b"]]


def test_numbers_that_hdf5_has_names_for(tmp_path):
    kind = h5py.enum_dtype({"spiral": 0, "elliptical": 1, "merger": 2}, "i1")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("label", data=np.array([2, 0, 7], "i1"), dtype=kind)
        file["table"] = np.array([(1, 5), (0, 6), (2, 7)], [("kind", kind), ("id", "i8")])
        file["known"] = [True, False, True]
    cells = open_table(tmp_path / "t.h5").read(["label", "kind", "id", "known"]).cells
    assert texts(cells["label"]).tolist() == ["merger", "spiral", "7"]
    assert texts(cells["kind"]).tolist() == ["elliptical", "spiral", "merger"]
    assert cells["known"].tolist() == [True, False, True]


def test_of_two_columns_of_one_name_neither_is_taken(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cat"] = np.array([("a", 1.0)], [("id", "S1"), ("ra", "f8")])
        file["ra"] = [2.0]
    fields = '<FIELD name="id" datatype="int"/><FIELD name="ra" datatype="double"/><FIELD name="ra" datatype="double"/>'
    row = ROW.replace("<TD>2</TD>", "<TD>2</TD><TD>3</TD>")
    (tmp_path / "b.vot").write_text(HEAD.format(f"<TABLE>{fields}{row}</TABLE>"))
    for name in ("a.h5", "b.vot"):
        with pytest.raises(GalaxAlignError, match=rf"{name} has several columns 'ra', named by columns.ra: rename all"):
            galaxies_of_catalogue(tmp_path / name, tmp_path, {"id": "id", "ra": "ra"})


def test_positions_of_another_system(tmp_path):
    position = SkyCoord([10.0], [20.0], unit="deg", frame="fk4", equinox="B1950")
    QTable({"id": ["a"], "place": position}).write(tmp_path / "a.ecsv")
    cells = open_table(tmp_path / "a.ecsv").read(["place.ra", "place.dec"]).cells
    found = [degrees(cells["place.ra"], "ra")[0], degrees(cells["place.dec"], "dec")[0]]
    assert found == pytest.approx([position.icrs.ra.deg[0], position.icrs.dec.deg[0]], abs=1e-9)
    assert abs(found[0] - 10) > 0.5


@pytest.mark.parametrize("name", ["t.fits", "t.parquet", "t.h5"])
def test_what_astropy_wrote_of_another_system_is_refused(tmp_path, name):
    table = Table({"id": ["a"]})
    for column, frame in (("here", {}), ("now", {"frame": "fk5"}), ("then", {"frame": "fk5", "equinox": "J1975"})):
        table[column] = SkyCoord([10.0], [20.0], unit="deg", **frame)
    table["long_ago"] = SkyCoord([10.0], [20.0], unit="deg", frame="fk4")
    table.write(tmp_path / name, **({"path": "t", "serialize_meta": True} if name == "t.h5" else {}))
    found = open_table(tmp_path / name)
    assert found.read(["here.ra", "now.dec", "id"]).cells.iloc[0].tolist() == [10, 20, "a"]
    with pytest.raises(GalaxAlignError, match=r"'then.ra' is in FK5 of J1975.000, as astropy wrote: give positions of"):
        found.read(["id", "then.ra"])
    with pytest.raises(GalaxAlignError, match=r"'long_ago.dec' is in FK4 of B1950.000, as astropy wrote"):
        found.read(["id", "long_ago.dec"])


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ('system="eq_FK4"', "FK4 of B1950"),
        ('system="FK4" equinox="B1950"', "FK4 of B1950"),
        ('system="eq_FK4" equinox="B1975.0"', "FK4 of B1975.0"),
        ('system="FK5" equinox="J1975"', "FK5 of J1975"),
        ('system="eq_FK5" equinox="B1950.0"', "FK5 of B1950.0"),
        ('system="eq_FK5"', None),
        ('system="FK5" equinox="J2000.0"', None),
        ('system="eq_FK5" equinox="2000"', None),
        ('system="ICRS" equinox="J2015.5"', None),
        ("", None),
    ],
)
def test_a_votable_of_another_equinox(tmp_path, system, said):
    columns = '<FIELD name="ra" datatype="double" ref="a"/><FIELD name="x" datatype="double" arraysize="1"/>'
    (tmp_path / "a.vot").write_text(HEAD.format(f'<COOSYS ID="a" {system}/><TABLE>{columns}{ROW}</TABLE>'))
    table = open_table(tmp_path / "a.vot")
    assert table.read(["x"]).cells["x"].tolist() == [2.0]
    if said is None:
        assert table.read(["ra"]).cells["ra"].tolist() == [1.0]
        return
    with pytest.raises(GalaxAlignError, match=f"column 'ra' is in {said}, by its COOSYS: give positions of J2000"):
        table.read(["ra"])


def test_a_votable_that_names_another_file_is_not_followed(tmp_path):
    data = '<DATA><BINARY><STREAM encoding="base64" href="file:///etc/passwd"/></BINARY></DATA>'
    (tmp_path / "a.vot").write_text(HEAD.format(f'<TABLE><FIELD name="id" datatype="char"/>{data}</TABLE>'))
    with pytest.raises(GalaxAlignError, match="its rows are in another file, which a STREAM names"):
        open_table(tmp_path / "a.vot")


def test_the_header_of_an_image_in_a_table_is_no_catalogue(tmp_path):
    """FITS_LDAC of SExtractor."""
    card = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", "80A", array=["SIMPLE"])], name="LDAC_IMHEAD"
    )
    numbers = fits.Column("NUMBER", "J", array=[1, 2])
    found = fits.BinTableHDU.from_columns([numbers], name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), card, found]).writeto(tmp_path / "a.fits")
    assert galaxies_of_catalogue(tmp_path / "a.fits", tmp_path, {"id": "NUMBER"})["id"].tolist() == ["1", "2"]
