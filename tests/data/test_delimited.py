"""Rows of text tables that are not what their header says: named with their line, and survived."""

import numpy as np
import pytest

from galaxalign.data.catalog import galaxies_of_catalogue
from galaxalign.data.delimited import LONGEST_LINE
from galaxalign.data.tables import open_table
from galaxalign.errors import GalaxAlignError

COLUMNS = {"id": "id", "file": "file", "ra": "ra", "dec": "dec", "label": "label"}


def galaxies(folder, text, name="t.csv", columns=COLUMNS):
    (folder / name).write_text(text)
    return galaxies_of_catalogue(folder / name, folder, columns)


def test_a_row_with_a_separator_in_a_note_is_flagged_and_the_others_stay(tmp_path):
    found = galaxies(
        tmp_path,
        "id,file,note,z,dec,ra,label,vis\n"
        "1,a.jpg,ok,0.1,10,1,0,1\n"
        "2,b.jpg,ok, but faint,0.2,20,2,0,1\n"
        "3,c.jpg,0.3,30,3,1,1\n"
        '4,d.jpg,"ok, and bright",0.4,40,4,1,0\n',
    )
    assert found["flag"].tolist() == ["", "cells", "cells", ""]
    assert found["reason"][1] == f"{tmp_path}/t.csv, row 2 (line 3): it has 9 cells, the header 8"
    assert found["reason"][2].endswith("row 3 (line 4): it has 7 cells, the header 8")
    assert found["id"].tolist() == ["1", "row_2", "row_3", "4"]
    assert found["ra"].tolist()[::3] == [1, 4]
    assert np.isnan(found["ra"][1])
    assert found["label"].tolist() == ["0", "", "", "1"]


def test_a_quote_that_closes_lines_later_is_flagged(tmp_path):
    text = 'id,file,ra,dec,label\n1,a,10,1,0\n3,"c,30,3,2\n4,d,40,4,2\n5,e",50,5,4\n6,f,60,6,1\n'
    found = galaxies(tmp_path, text)
    assert found["flag"].tolist() == ["", "cells", "cells", "cells", ""]
    assert "row 2 (line 3): a cell goes on to line 5, as if a quote were left open" in found["reason"][1]
    assert found["reason"][2].endswith(
        "row 3 (line 4): it lies in a cell of line 3, as if a quote were left open there"
    )
    assert found["id"].tolist() == ["1", "row_2", "row_3", "row_4", "6"]


@pytest.mark.parametrize("closed", ['899,179,1,ends here"', '899,179,1,"', '899,179,"1",x'])
def test_rows_between_two_stray_quotes_in_a_note_are_flagged_one_by_one(tmp_path, closed):
    rows = [f"{row},{row % 360},1,fine" for row in range(1000)]
    rows[10], rows[899] = '10,10,1,"bright star', closed
    columns = {"id": "id", "ra": "ra", "dec": "dec"}
    found = galaxies(tmp_path, "\n".join(["id,ra,dec,note", *rows]), columns=columns)
    lost = list(range(10, 900))
    assert np.flatnonzero(found["flag"] == "cells").tolist() == lost
    assert np.flatnonzero(found["flag"] != "").tolist() == lost
    assert len(found) == 1000
    assert found["reason"][10].endswith("row 11 (line 12): a cell goes on to line 901, as if a quote were left open")
    assert found["reason"][899].endswith(
        "row 900 (line 901): it lies in a cell of line 12, as if a quote were left open there"
    )
    assert found["id"][900] == "900"


def test_a_quote_that_never_closes_is_told_in_a_large_table_too(tmp_path):
    text = 'id,file\n1,"a\n' + "".join(f"{row},b\n" for row in range(30000))
    with pytest.raises(GalaxAlignError, match="a quote that opens in line 2 or after is never closed"):
        galaxies(tmp_path, text, columns={"id": "id", "file": "file"})


def test_titles_above_the_header_are_read_over(tmp_path):
    found = galaxies(tmp_path, "#Table1\n\n# of the server\nid,ra\n1,10\n2,x\n", columns={"id": "id", "ra": "ra"})
    assert found["id"].tolist() == ["1", "2"]
    assert "row 2 (line 6): 'ra' is 'x'" in found["reason"][1]
    # A name that begins so is one.
    found = galaxies(tmp_path, "#id,ra\n1,10\n", columns={"id": "#id", "ra": "ra"})
    assert found["ra"].tolist() == [10]


def test_a_quote_that_never_closes_is_an_error(tmp_path):
    with pytest.raises(GalaxAlignError, match="a quote that opens in line 3 or after is never closed"):
        galaxies(tmp_path, 'id,file,ra,dec,label\n1,a,10,1,0\n2,"b,20,2,1\n3,c,30,3,1\n')


def test_a_note_of_several_lines_is_read_over_and_lines_stay_true(tmp_path):
    text = 'id,file,ra,dec,label,note\n\n1,a,10,1,0,"two\nlines"\n   \n2,b,x,2,0,\n'
    found = galaxies(tmp_path, text)
    assert found["flag"].tolist() == ["", "position"]
    # Blank lines count in an editor.
    assert "row 2 (line 6): 'ra' is 'x'" in found["reason"][1]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_every_row_or_the_header_may_end_in_a_separator(tmp_path, name):
    separator = "\t" if name == "t.tsv" else ","
    for ends in (("", separator), (separator, ""), (separator, separator)):
        text = f"id,ra{ends[0]}\r\n007,1.5{ends[1]}\r\n8,2{ends[1]}\r\n".replace(",", separator)
        if name.endswith("gz"):
            import gzip

            (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        else:
            (tmp_path / name).write_text("\ufeff" + text, newline="")
        rows = open_table(tmp_path / name).read(["ra", "id"])
        assert rows.cells.to_numpy().tolist() == [["1.5", "007"], ["2", "8"]]
        assert rows.lines.tolist() == [2, 3]
        assert not rows.faults


def test_an_empty_cell_at_the_end_of_some_rows_is_one_too_many(tmp_path):
    found = galaxies(
        tmp_path,
        "id,file,ra,dec,note,label\n1,a,10,1,,0\n2,b,20,2,faint, blue,\n3,c,30,5,3,odd,\n4,d,40,4,,1\n",
    )
    assert found["flag"].tolist() == ["", "cells", "cells", ""]
    assert found["reason"][1].endswith(
        "t.csv, row 2 (line 3): it ends in an empty cell more, or less, than other rows: quote cells that have a "
        "separator in them"
    )
    assert found["id"].tolist() == ["1", "row_2", "row_3", "4"]
    assert found["label"].tolist() == ["0", "", "", "1"]
    # Where every row does, and one is of another length besides.
    found = galaxies(tmp_path, "id,file,ra,dec,label\n1,a,10,1,0,\n2,b,20,2,1,x,\n3,c,30,3,2,\n")
    assert found["flag"].tolist() == ["", "cells", ""]
    assert found["label"].tolist() == ["0", "", "2"]


def test_two_columns_of_one_name_are_refused_where_they_are_wanted(tmp_path):
    text = "id,file,ra,dec,ra,label,note,note\n1,a,10,1,20,0,x,y\n"
    with pytest.raises(GalaxAlignError, match=r"has several columns 'ra', named by columns.ra: rename all but one"):
        galaxies(tmp_path, text)
    assert galaxies(tmp_path, text, columns={"id": "id", "file": "file"})["id"].tolist() == ["1"]


def test_a_line_without_end_takes_no_memory(tmp_path):
    with pytest.raises(GalaxAlignError, match=f"line 2 has more than {LONGEST_LINE} characters"):
        galaxies(tmp_path, "id,file\n" + "9" * (LONGEST_LINE + 5), columns={"id": "id", "file": "file"})
