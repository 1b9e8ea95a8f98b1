"""A store in four shards is the store in one file, to whoever reads it."""

import os
import shutil
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from galaxalign.data import workers
from galaxalign.data.kept import Kept
from galaxalign.data.rows import read_galaxies, shard_names
from galaxalign.data.store import read_store
from galaxalign.errors import GalaxAlignError
from tests.conftest import ROOT
from tests.data.stores import build, read, shard, write_manifest

__all__ = ["read"]

SIZE = 10


def join(folder, **settings):
    names = shard_names(folder / "manifest.parquet", SIZE)
    return build(folder, shards=[shard(folder, name, size=SIZE) for name in names], **settings)


def relabelled(folder, numbers, **changes):
    table = write_manifest(folder, numbers, row_group=7).assign(**changes)
    table.to_parquet(folder / "manifest.parquet", index=False, row_group_size=7)


def test_as_many_shards_as_are_needed(tmp_path):
    path = tmp_path / "manifest.parquet"
    for count, shards in ((10, 0), (11, 2), (30, 3), (31, 4)):
        pd.DataFrame({"id": range(count)}).to_parquet(path, index=False)
        assert shard_names(path, SIZE) == [f"{number:05d}" for number in range(shards)]


@pytest.mark.parametrize(("first", "last", "rows"), [(0, 5, 5), (6, 8, 2), (20, 30, 4), (24, 30, 0), (0, None, 24)])
def test_rows_of_a_manifest(tmp_path, first, last, rows):
    table = write_manifest(tmp_path, list(range(24)), row_group=7)
    part = read_galaxies(tmp_path / "manifest.parquet", first, last)
    assert len(part) == rows
    assert list(part["id"]) == list(table["id"][first:last])


def test_four_shards_are_one_store(tmp_path, monkeypatch):
    votes = {"shape/round": 0.25, "shape/flat": 0.75, "asked/shape": 40.0}
    ids = ["ünïcode", *(f"G{number}" for number in range(1, 36))]
    relabelled(tmp_path, list(range(36)), id=ids, dec=np.arange(36.0), **votes)
    (tmp_path / "images/25.jpg").write_bytes(b"<html>")
    (tmp_path / "one").mkdir()
    one = build(tmp_path, images=tmp_path / "one/images.h5")
    rejects = (tmp_path / "rejects.tsv").read_text()
    store = join(tmp_path)
    assert (tmp_path / "rejects.tsv").read_text() == rejects
    assert len(store.extents) == 4
    for name in ("id", "split", "flag", "reason", "label", "ra", "dec"):
        np.testing.assert_array_equal(getattr(store, name), getattr(one, name))
    assert store.flag[25] == "unreadable"
    for name in ("classes", "names", "recipe", "dataset"):
        assert getattr(store, name) == getattr(one, name)
    np.testing.assert_array_equal(store.needed_votes().fractions, one.needed_votes().fractions)
    np.testing.assert_array_equal(store.needed_votes().asked, one.needed_votes().asked)
    assert store.needed_votes().answers == one.needed_votes().answers
    rows = np.random.default_rng(0).permutation(np.r_[np.arange(36), 3, 3, 35])
    np.testing.assert_array_equal(store.pictures(rows), one.pictures(rows))
    assert store.pictures(rows[:0]).shape == (0, 16, 16, 3)
    with pytest.raises(IndexError, match="0 to 36 are asked for, 36 are there"):
        store.pictures(np.array([36, 0]))
    # Any program sees one data set, from whatever folder it runs in, and wherever the folder is taken.
    (tmp_path / "results").mkdir()
    for path in (tmp_path / "images.h5", tmp_path / "shards"):
        path.rename(tmp_path / "results" / path.name)
    monkeypatch.chdir(ROOT)
    with h5py.File(tmp_path / "results/images.h5") as file, h5py.File(one.path) as whole:
        np.testing.assert_array_equal(file["images"][:], whole["images"][:])
    np.testing.assert_array_equal(read_store(tmp_path / "results/images.h5").pictures(rows), one.pictures(rows))


def test_a_store_of_shards_is_the_same_whenever_it_is_made(tmp_path):
    write_manifest(tmp_path, list(range(36)))
    join(tmp_path)
    before = (tmp_path / "images.h5").read_bytes()
    (tmp_path / "images.h5").unlink()
    # HDF5 tells times by the second.
    time.sleep(1.1)
    join(tmp_path)
    assert (tmp_path / "images.h5").read_bytes() == before


def test_a_missing_or_shortened_shard_is_named(tmp_path):
    write_manifest(tmp_path, list(range(36)))
    store = join(tmp_path)
    path = tmp_path / "shards/00002.h5"
    os.truncate(path, 5000)
    with pytest.raises(OSError, match=r"00002\.h5 ends before the pictures it should hold"):
        store.pictures(np.array([28]))
    path.unlink()
    with pytest.raises(
        GalaxAlignError, match=r"images\.h5 is no store of galaxies \(.*00002\.h5.*remove it and run again"
    ):
        read_store(store.path)


def test_too_many_rejects_are_counted_over_all_shards(tmp_path):
    write_manifest(tmp_path, list(range(36)))
    for number in range(3):
        (tmp_path / f"images/{number}.jpg").write_bytes(b"")
    with pytest.raises(GalaxAlignError, match="3 of 36 galaxies were rejected"):
        join(tmp_path, max_rejected=0.05)
    assert not (tmp_path / "images.h5").exists()
    # A tenth of all, though three tenths of the first shard.
    assert (join(tmp_path, max_rejected=0.1).flag != "").sum() == 3


def test_shards_of_a_job_that_failed_are_kept(tmp_path, read):
    write_manifest(tmp_path, list(range(36)))
    for number in range(3):
        (tmp_path / f"images/{number}.jpg").write_bytes(b"")
    with pytest.raises(GalaxAlignError, match="3 of 36 galaxies were rejected"):
        join(tmp_path, max_rejected=0.05)
    # As Snakemake does before it makes them again.
    shutil.rmtree(tmp_path / "shards")
    read.clear()
    join(tmp_path, max_rejected=0.1)
    assert read == [f"{tmp_path}/images/{number}.jpg" for number in range(3)]


def test_a_damaged_kept_shard_is_not_taken_over(tmp_path, read):
    write_manifest(tmp_path, list(range(36)))
    join(tmp_path)
    with h5py.File(tmp_path / "shards/00001.h5") as file:
        start, whole = file["images"].id.get_offset(), file["images"][:]
    with (tmp_path / "shards/00001.h5").open("r+b") as file:
        file.seek(start + 1000)
        file.write(b"x" * 50)
    read.clear()
    store = join(tmp_path)
    assert np.array_equal(store.pictures(np.arange(10, 20)), whole)
    assert read == [f"{tmp_path}/images/11.jpg"]


def test_a_kept_shard_that_another_job_goes_on_from(tmp_path, read, monkeypatch):
    write_manifest(tmp_path, list(range(15)))
    join(tmp_path)
    shutil.rmtree(tmp_path / "shards")
    (tmp_path / "images.h5").unlink()
    # Rows move, so that the first shard wants what the second holds, which is gone by the time it is read.
    write_manifest(tmp_path, list(range(14, -1, -1)))
    find = Kept.find

    def find_too_late(self, keys):
        found = find(self, keys)
        self.path.unlink()
        return found

    monkeypatch.setattr(Kept, "find", find_too_late)
    read.clear()
    store = join(tmp_path)
    assert len(read) == 15
    assert (store.flag == "").all()


def test_shards_of_another_catalogue_are_refused(tmp_path):
    write_manifest(tmp_path, list(range(36)))
    paths = [shard(tmp_path, name, size=SIZE) for name in shard_names(tmp_path / "manifest.parquet", SIZE)]
    write_manifest(tmp_path, [*range(20), *range(50, 66)])
    with pytest.raises(GalaxAlignError, match=r"00002\.h5 holds other galaxies than .*manifest\.parquet names"):
        build(tmp_path, shards=paths)
    with pytest.raises(GalaxAlignError, match="are not those of 36 galaxies"):
        build(tmp_path, shards=paths[:3])


def test_a_change_of_labels_leaves_every_shard_as_it_is(tmp_path, read):
    write_manifest(tmp_path, list(range(36)))
    (tmp_path / "images/4.jpg").write_bytes(b"<html>")
    join(tmp_path)
    before = [path.stat().st_ino for path in sorted((tmp_path / "shards").iterdir())]
    write_manifest(tmp_path, list(range(36)), label="edge-on")
    read.clear()
    assert set(join(tmp_path).label) == {1}
    assert [path.stat().st_ino for path in sorted((tmp_path / "shards").iterdir())] == before
    # What was bad is tried again.
    assert read == [f"{tmp_path}/images/4.jpg"]
    (tmp_path / "images/4.jpg").write_bytes((tmp_path / "images/5.jpg").read_bytes())
    read.clear()
    store = join(tmp_path)
    assert read == [f"{tmp_path}/images/4.jpg"]
    assert np.array_equal(*store.pictures(np.array([4, 5])))


def test_rows_move_between_shards_and_between_shards_and_one_file(tmp_path, read):
    write_manifest(tmp_path, list(range(36)))
    pictures = join(tmp_path).pictures(np.arange(36))
    for numbers, new in (([40, 41, *range(36)], [40, 41]), (list(range(5, 36)), []), (list(range(35, 4, -1)), [])):
        read.clear()
        write_manifest(tmp_path, numbers)
        (tmp_path / "images.h5").unlink()
        store = join(tmp_path)
        assert read == [f"{tmp_path}/images/{number}.jpg" for number in new]
        kept = [row for row, number in enumerate(numbers) if number < 36]
        np.testing.assert_array_equal(store.pictures(np.array(kept)), pictures[[numbers[row] for row in kept]])
        # What a longer catalogue needed is gone.
        assert len(list((tmp_path / "shards").iterdir())) == -(-len(numbers) // SIZE)
        assert len(list((tmp_path / ".images.h5.kept").iterdir())) == -(-len(numbers) // SIZE)
    read.clear()
    np.testing.assert_array_equal(build(tmp_path).pictures(np.arange(31)), pictures[35:4:-1])
    assert not read
    assert not (tmp_path / "shards").exists()
    assert [path.name for path in (tmp_path / ".images.h5.kept").iterdir()] == ["images.h5"]
    again = join(tmp_path)
    assert not read
    np.testing.assert_array_equal(again.pictures(np.arange(31)), pictures[35:4:-1])


def test_a_shard_goes_on_where_it_was(tmp_path, read, monkeypatch):
    write_manifest(tmp_path, list(range(36)))
    monkeypatch.setattr("galaxalign.data.filling.CHUNK", 1)
    make = workers.make_picture

    def interrupted(source, recipe, max_blank):
        if source.endswith("/12.jpg"):
            raise KeyboardInterrupt
        return make(source, recipe, max_blank)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("galaxalign.data.workers.make_picture", interrupted)
        shard(tmp_path, "00001", size=SIZE)
    read.clear()
    shard(tmp_path, "00001", size=SIZE)
    assert read == [f"{tmp_path}/images/{number}.jpg" for number in range(12, 20)]
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00001.h5"]
