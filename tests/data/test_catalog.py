"""Catalogues with bad rows: each is named, counted and survived, and every other row comes through."""

import os

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from galaxalign.data.catalog import galaxies_of_catalogue
from galaxalign.data.files import check_files
from galaxalign.data.flags import MEANINGS
from galaxalign.data.marks import Marks
from galaxalign.errors import GalaxAlignError
from galaxalign.symbols.sheet import read_tree
from tests.conftest import ROOT

COLUMNS = {"id": "name", "file": "file", "ra": "ra", "dec": "dec"}


@pytest.fixture
def folder(tmp_path):
    """A data root with ten good galaxies, and a folder beside it that is none of its business."""
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for number in range(10):
        (root / f"{number}.jpg").touch()
    for file in (root / "deep/a.jpg", tmp_path / "elsewhere/secret.jpg"):
        file.touch()
    return root


def rows(**changes):
    table = pd.DataFrame({"name": [f"G{n}" for n in range(10)], "file": [f"{n}.jpg" for n in range(10)]}, dtype=object)
    table["ra"], table["dec"] = [str(10.0 + n) for n in range(10)], "-5"
    for column, cells in changes.items():
        table[column] = table[column].astype(object)
        for row, value in cells.items():
            table.loc[row, column] = value
    return table


def read(folder, table, columns=COLUMNS, bands=(), **options):
    path = folder / "catalog.csv"
    table.to_csv(path, index=False)
    galaxies = galaxies_of_catalogue(path, folder, columns, **options)
    marks = Marks.of(galaxies)
    check_files(galaxies["source"].tolist(), bands, folder, marks)
    marks.note(galaxies)
    assert galaxies["id"].is_unique
    assert set(marks.flag) <= {"", *MEANINGS}
    return galaxies


def test_bad_rows_are_flagged_and_the_others_come_through(folder):
    galaxies = read(
        folder,
        rows(name={1: "", 2: "G0"}, ra={3: "nan", 4: "here"}, dec={5: "91", 6: ""}, file={7: "", 8: "../secret.jpg"}),
    )
    assert galaxies["flag"].tolist() == [
        *("", "no_id", "duplicate_id", "position", "position", "position", "position", "no_file", "outside_root", "")
    ]
    assert galaxies["id"].tolist() == ["G0", "row_2", "G0_row_3", *(f"G{n}" for n in range(3, 10))]
    path = folder / "catalog.csv"
    assert galaxies["reason"][1] == f"{path}, row 2 (line 3): 'name' is empty"
    assert galaxies["reason"][2] == f"{path}, row 3 (line 4): id 'G0' is that of row 1"
    assert galaxies["reason"][4] == f"{path}, row 5 (line 6): 'ra' is 'here', no angle from -180 to 360 degrees"
    assert galaxies["reason"][6] == f"{path}, row 7 (line 8): 'dec' is empty, no angle from -90 to 90 degrees"
    assert galaxies["reason"][8] == f"{folder}/../secret.jpg leads outside {folder}"
    assert (galaxies["ra"][9], galaxies["dec"][9]) == (19.0, -5.0)


def test_an_id_that_is_a_page_is_none(folder):
    galaxies = read(folder, rows(name={0: "a" * 256, 1: "b" * 257, 2: "b" * 100_000, 3: "b" * 257}))
    assert galaxies["flag"].tolist()[:5] == ["", "no_id", "no_id", "no_id", ""]
    assert galaxies["id"].tolist()[:4] == ["a" * 256, "row_2", "row_3", "row_4"]
    assert galaxies["reason"][2].endswith("row 3 (line 4): 'name' has 100000 characters, 256 are allowed")
    # An id that ends at one in the store would be another's.
    galaxies = read(folder, rows(name={0: "a", 1: "a\0", 2: "b\x7f"}))
    assert galaxies["flag"].tolist()[:3] == ["", "no_id", "no_id"]
    assert galaxies["reason"][1].endswith("row 2 (line 3): 'name' is 'a\\x00', which has a control character")


def test_ids_of_several_kinds_in_one_column_stay_texts(folder):
    names = ["7", "007", "7.0", "x-7", "", "1e3", "7", "-1"]
    galaxies = read(folder, rows(name=dict(enumerate([*names, str(2**63 + 1)]))))
    assert galaxies["id"].tolist()[:8] == ["7", "007", "7.0", "x-7", "row_5", "1e3", "7_row_7", "-1"]
    assert galaxies["id"][8] == str(2**63 + 1)
    assert galaxies["flag"].tolist() == [*[""] * 4, "no_id", "", "duplicate_id", "", "", ""]


def test_names_for_rows_without_one_stay_unique(folder):
    galaxies = read(folder, rows(name={0: "row_3", 1: "G5_row_6", 2: "", 3: "", 4: "G5", 5: "G5", 6: "G5"}))
    assert galaxies["id"].tolist()[:7] == ["row_3", "G5_row_6", "row_3_", "row_4", "G5", "G5_row_6_", "G5_row_7"]


@pytest.mark.parametrize(
    ("file", "flag"),
    [
        ("{folder}/1.jpg", ""),
        ("./1.jpg", ""),
        ("deep/../1.jpg", ""),
        ("deep/a.jpg", ""),
        ("inner.jpg", ""),
        ("../root/1.jpg", ""),
        ("../elsewhere/secret.jpg", "outside_root"),
        ("../../../../../../etc/passwd", "outside_root"),
        ("{folder}/../elsewhere/secret.jpg", "outside_root"),
        ("/etc/passwd", "outside_root"),
        ("outer.jpg", "outside_root"),
        ("out/secret.jpg", "outside_root"),
        ("loop.jpg", "link_loop"),
        ("round/1.jpg", "link_loop"),
        ("dangling.jpg", "missing_file"),
        ("deep", "missing_file"),
        ("none.jpg", "missing_file"),
        ("a" * 5000, "missing_file"),
        ("zero\0byte.jpg", "missing_file"),
        ("../root2/1.jpg", "outside_root"),
    ],
)
def test_files_that_leave_the_root_or_lead_nowhere(folder, file, flag):
    (folder / "inner.jpg").symlink_to(folder / "deep/a.jpg")
    (folder / "outer.jpg").symlink_to(folder.parent / "elsewhere/secret.jpg")
    (folder / "out").symlink_to(folder.parent / "elsewhere")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "round").symlink_to(folder / "round")
    (folder / "dangling.jpg").symlink_to(folder / "gone.jpg")
    # A neighbour whose name begins like the root's.
    (folder.parent / "root2").mkdir()
    (folder.parent / "root2/1.jpg").touch()
    marks = Marks.none(1)
    file = file.replace("{folder}", str(folder))
    check_files([file if file.startswith("/") else f"{folder}/{file}"], (), folder, marks)
    assert marks.flag[0] == flag
    assert bool(marks.reason[0]) == bool(flag)


def test_a_root_may_itself_be_a_link(folder):
    (folder.parent / "link").symlink_to(folder)
    marks = Marks.none(2)
    check_files(
        [f"{folder.parent}/link/1.jpg", f"{folder.parent}/link/../link/1.jpg"], (), folder.parent / "link", marks
    )
    assert marks.flag.tolist() == ["", ""]


def test_one_file_a_band_must_all_be_inside(folder):
    for name in ("1_g.fits", "1_r.fits", "2_g.fits"):
        (folder / name).touch()
    (folder / "2_r.fits").symlink_to(folder.parent / "elsewhere/secret.jpg")
    marks = Marks.none(4)
    check_files([f"{folder}/{n}_{{band}}.fits" for n in (1, 2, 3, 4)], ("g", "r"), folder, marks)
    assert marks.flag.tolist() == ["", "outside_root", "missing_file", "missing_file"]
    (folder / "3_r.fits").touch()
    marks = Marks.none(1)
    check_files([f"{folder}/3_{{band}}.fits"], ("g", "r"), folder, marks)
    assert (marks.flag[0], marks.reason[0]) == ("missing_band", f"there is no {folder}/3_g.fits")


def test_numbers_that_are_none(folder):
    table = rows().assign(
        **{"P_EL": "0.5", "P_CW": "0.1", "P_ACW": "0.1", "P_EDGE": "0.1", "P_DK": "0.1", "P_MG": "0.1"}, NVOTE="40"
    )
    table.loc[2, "P_EL"], table.loc[3, "NVOTE"], table.loc[4, "NVOTE"] = "half", "-1", "1e"
    table.loc[5, "P_MG"] = ""
    tree = read_tree(ROOT / "config/morphology/trees/gz1.yaml")
    galaxies = read(folder, table, COLUMNS | {"total": "NVOTE"}, kind="fraction", tree=tree)
    assert galaxies["flag"].tolist() == ["", "", "number", "number", "number", *[""] * 5]
    assert galaxies["reason"][3].endswith("'NVOTE' is '-1', no number from 0")
    assert galaxies["P_EL"][0] == 0.5
    assert np.isnan(galaxies["P_MG"][5])
    # Votes that nobody asks for are not read, so that they cannot be bad.
    assert (read(folder, table)["flag"] == "").all()


def test_ids_that_have_lost_their_digits(folder):
    table = rows().assign(name=[587722952767439450.0 + n for n in range(10)])
    table.to_parquet(folder / "t.parquet")
    with pytest.raises(
        GalaxAlignError, match=r"ids as floating-point numbers in 'name' that are too large.*as text or as 64"
    ):
        galaxies_of_catalogue(folder / "t.parquet", folder, COLUMNS)
    table.assign(name=[587722952767439450 + n for n in range(10)]).to_parquet(folder / "t.parquet")
    galaxies = galaxies_of_catalogue(folder / "t.parquet", folder, COLUMNS)
    assert galaxies["id"].tolist() == [str(587722952767439450 + n) for n in range(10)]


@pytest.mark.parametrize("kind", ["fits", "ecsv", "vot", "parquet", "h5"])
def test_angles_in_the_unit_that_the_file_states(tmp_path, kind):
    table = Table({"id": [1, 2], "ra": [10.0, 23.5], "dec": [0.5, -0.25], "size": [0.5, 1.0]})
    table["ra"].unit, table["dec"].unit, table["size"].unit = "hourangle", "rad", "arcmin"
    if kind == "fits":
        # FITS has no unit of hours as an angle.
        table["ra"] = (table["ra"] * np.pi / 12).data * units.rad
    format = {"ecsv": "ascii.ecsv", "vot": "votable", "h5": "hdf5"}.get(kind, kind)
    table.write(
        tmp_path / f"t.{kind}", format=format, **({"path": "a/t", "serialize_meta": True} if kind == "h5" else {})
    )
    columns = {name: name for name in ("id", "ra", "dec", "size")}
    found = galaxies_of_catalogue(tmp_path / f"t.{kind}", tmp_path, columns)
    np.testing.assert_allclose(found["ra"], [150, 352.5])
    np.testing.assert_allclose(found["dec"], np.degrees([0.5, -0.25]))
    np.testing.assert_allclose(found["size"], [30, 60])
    with pytest.raises(GalaxAlignError, match=r"'flux' is in 'pix', which is no angle: give it in arcsec"):
        table["flux"] = [1.0, 2.0] * units.pix
        table.write(tmp_path / "u.ecsv", format="ascii.ecsv")
        galaxies_of_catalogue(tmp_path / "u.ecsv", tmp_path, columns | {"size": "flux"})


@pytest.mark.parametrize("unit", ["h", "hr", "hours", "Hours", "hourangle"])
def test_hours_as_catalogues_spell_them(tmp_path, unit):
    table = fits.BinTableHDU.from_columns([fits.Column(name, "D", array=[1.0, 23.5]) for name in ("id", "ra", "dec")])
    table.columns["ra"].unit, table.columns["dec"].unit = unit, "Degrees"
    table.writeto(tmp_path / "t.fits")
    found = galaxies_of_catalogue(tmp_path / "t.fits", tmp_path, {name: name for name in ("id", "ra", "dec")})
    np.testing.assert_allclose(found["ra"], [15, 352.5])
    np.testing.assert_allclose(found["dec"], [1, 23.5])


def test_a_unit_counts_for_plain_numbers_among_texts_and_errors_say_what_the_file_has(tmp_path):
    table = Table({"id": [1, 2, 3], "ra": ["0.5", "01:00:00", "30"], "dec": [0.1, 0.2, 0.3]})
    table["ra"].unit, table["dec"].unit = "hourangle", "radians"
    table.write(tmp_path / "t.ecsv", format="ascii.ecsv")
    found = galaxies_of_catalogue(tmp_path / "t.ecsv", tmp_path, {name: name for name in ("id", "ra", "dec")})
    np.testing.assert_allclose(found["ra"], [7.5, 15, np.nan])
    np.testing.assert_allclose(found["dec"], np.degrees([0.1, 0.2, 0.3]))
    assert "'ra' is '30', no angle" in found["reason"][2]


def test_votes_are_shares(folder):
    votes = {"P_EL": "0.9", "P_CW": "0.02", "P_ACW": "0.02", "P_EDGE": "0.02", "P_DK": "0.02", "P_MG": "0.02"}
    table = rows(name={}).assign(**votes, NVOTE="30")
    table.loc[1, list(votes)] = ["2", "90", "2", "2", "2", "2"]
    table.loc[2, "P_EL"], table.loc[3, "P_EL"] = "-9", "1.0004"
    tree = read_tree(ROOT / "config/morphology/trees/gz1.yaml")
    galaxies = read(folder, table, COLUMNS | {"total": "NVOTE"}, kind="fraction", tree=tree)
    assert galaxies["flag"].tolist() == ["", "number", "number", *[""] * 7]
    assert galaxies["reason"][1].endswith("row 2 (line 3): 'P_EL' is '2', no share from 0 to 1")
    table.insert(4, "P_EL", table["P_EL"], allow_duplicates=True)
    with pytest.raises(GalaxAlignError, match="several columns 'P_EL', which tells votes: rename all but one"):
        read(folder, table, COLUMNS | {"total": "NVOTE"}, kind="fraction", tree=tree)


def test_published_splits_and_groups(folder):
    table = rows().assign(part=["train", "Test", "val", "NA", *["TRAIN"] * 6], host=["a", "a", "", *["b"] * 7])
    table.loc[3, "host"] = "NaN"
    galaxies = read(folder, table, COLUMNS | {"split": "part", "group": "host"})
    assert galaxies["given"].tolist()[:5] == ["train", "test", "validation", "", "train"]
    assert galaxies["member"].tolist()[:5] == ["a", "a", "", "", "b"]
    with pytest.raises(GalaxAlignError, match=r"row 4 \(line 5\): 'part', named by columns.split, is 'hold-out'"):
        read(folder, table.assign(part=["train"] * 3 + ["Hold-out"] * 7), COLUMNS | {"split": "part"})


def test_the_layout_of_stein_et_al(folder):
    generator = np.random.default_rng(0)
    with h5py.File(folder / "images_npix152_000000000_001000000.h5", "w") as file:
        file["images"] = generator.normal(0, 0.01, (5, 3, 8, 8)).astype(np.float32)
        file["inds"] = np.arange(5) + 2**53 + 1
        file["ra"], file["dec"] = np.linspace(0, 300, 5), np.linspace(-20, 30, 5)
        file["flux"] = np.ones((5, 3), np.float32)
    path = folder / "images_npix152_000000000_001000000.h5"
    columns = {"id": "inds", "file": f"{path.name}#{{row}}", "ra": "ra", "dec": "dec"}
    galaxies = galaxies_of_catalogue(path, folder, columns)
    assert galaxies["id"].tolist() == [str(2**53 + 1 + n) for n in range(5)]
    assert galaxies["source"].tolist() == [f"{path}#{n}" for n in range(5)]
    assert galaxies["ra"].tolist() == [0, 75, 150, 225, 300]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(GalaxAlignError, match="cannot be read"):
        galaxies_of_catalogue(path, folder, columns)


def test_galaxy_datasets_style(folder):
    table = pd.DataFrame(
        {"id_str": [f"J00000{n}" for n in range(3)], "file_loc": [f"{folder}/{n}.jpg" for n in range(3)]}
    )
    table.loc[2, "file_loc"] = str(folder.parent / "elsewhere/secret.jpg")
    galaxies = read(folder, table, {"id": "id_str", "file": "file_loc"})
    assert galaxies["source"].tolist()[:2] == [f"{folder}/0.jpg", f"{folder}/1.jpg"]
    assert galaxies["flag"].tolist() == ["", "", "outside_root"]


CELL = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(["..", "/", "1.jpg", "#"]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=5))
def test_no_cell_ends_a_run(folder, cells):
    table = pd.DataFrame(cells, columns=["name", "file", "ra", "dec"])
    try:
        galaxies = read(folder, table)
    except GalaxAlignError as error:
        # A stray quotation mark or carriage return may make a table that is none, and all ids may be large floats.
        assert any(words in str(error) for words in ("cannot be read", "no rows", "their last digits"))
        return
    good = galaxies[galaxies["flag"] == ""]
    assert good["ra"].between(0, 360).all()
    assert good["dec"].between(-90, 90).all()
    for source in good["source"]:
        assert os.path.realpath(source).startswith(str(folder))


@pytest.mark.parametrize("name", ["gz1", "gz2", "galaxy10_decals_sample"])
def test_real_catalogues(real_data, name):
    columns = {"id": "file" if name == "galaxy10_decals_sample" else "objid", "file": "file"}
    galaxies = galaxies_of_catalogue(real_data / name / "catalog.csv", real_data / name, columns)
    marks = Marks.none(len(galaxies))
    check_files(galaxies["source"].tolist(), (), real_data / name, marks)
    assert len(galaxies) == {"gz1": 4990, "gz2": 760, "galaxy10_decals_sample": 40}[name]
    assert (galaxies["flag"] == "").all()
    assert marks.good.all()


def test_the_real_positions(real_data):
    path = real_data / "catalogues/Galaxy10_DECaLS_coord.csv"
    table = pd.read_csv(path)
    # Its first column, the number of each galaxy, has no name.
    columns = {"id": "Unnamed: 0", "file": "{RA}", "ra": "RA", "dec": "DEC"}
    galaxies = galaxies_of_catalogue(path, path.parent, columns)
    assert len(galaxies) == 17736
    np.testing.assert_array_equal(galaxies["ra"], table["RA"])
    np.testing.assert_array_equal(galaxies["dec"], table["DEC"])
    assert (galaxies["flag"] == "").all()
    assert galaxies["id"].tolist() == [str(number) for number in range(17736)]
