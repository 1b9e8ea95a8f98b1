"""What is made once is not made again: after kill -9, and when galaxies, labels, images or the recipe change."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version

import h5py
import numpy as np
import pytest

from galaxalign.data.keys import picture_keys, source_files
from galaxalign.data.pictures import make_picture
from galaxalign.data.unfinished import Unfinished
from galaxalign.data.workers import RECORD
from galaxalign.errors import GalaxAlignError
from tests.conftest import ROOT
from tests.data.stores import build, read, write_manifest
from tests.data.synthetic_images import RECIPE

__all__ = ["read"]


def start(folder, words):
    """Python in a process of its own, which can be killed."""
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from tests.data.stores import build
        import galaxalign.data.filling
        galaxalign.data.filling.FEW = 0
        folder = Path({str(folder)!r})
    """) + textwrap.dedent(words)
    with (folder / "said").open("w") as said:
        return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=said)


def done_in(folder):
    """How many rows an unfinished store has."""
    records = Unfinished(folder / "images.h5").records
    content = records.read_bytes() if records.exists() else b""
    return int((np.frombuffer(content[: len(content) // 20 * 20], RECORD)["key"] != 0).any(axis=1).sum())


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_several_times_and_the_same_bytes(tmp_path, workers, caplog):
    write_manifest(tmp_path, list(range(1500)))
    (tmp_path / "images/700.jpg").write_bytes(b"<html>")
    whole = build(tmp_path, images=tmp_path / "whole.h5").path.read_bytes()
    counts = [0]
    for share in (0.05, 0.3, 0.6):
        process = start(tmp_path, f"build(folder, workers={workers})")
        while done_in(tmp_path) < share * 1500 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "images.h5").exists()
        counts.append(done_in(tmp_path))
    assert counts == sorted(counts)
    assert 0 < counts[1] < counts[3] < 1500
    with caplog.at_level("INFO"):
        store = build(tmp_path, workers=workers)
    there = int(caplog.text.split(" pictures are there from before")[0].split()[-1])
    # A worker may have finished the block that it had begun.
    assert counts[3] <= there < 1500
    assert store.path.read_bytes() == whole
    assert list(np.flatnonzero(store.flag != "")) == [700]
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".images.h5.kept", ".whole.h5.kept"]


def test_killed_while_columns_are_written(tmp_path):
    write_manifest(tmp_path, list(range(40)))
    whole = build(tmp_path, images=tmp_path / "whole.h5").path.read_bytes()
    killed = """
        import os, signal
        import galaxalign.data.building as building
        write = building.write_columns
        def killed(file, columns, first, total):
            write(file, {"id": columns["id"]}, first, total)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        building.write_columns = killed
        build(folder)
    """
    assert start(tmp_path, killed).wait() == -signal.SIGKILL
    assert not (tmp_path / "images.h5").exists()
    assert build(tmp_path).path.read_bytes() == whole


def test_what_was_damaged_since_is_made_anew(tmp_path, read):
    write_manifest(tmp_path, list(range(40)))
    (tmp_path / "images/5.jpg").write_bytes(b"<html>")
    with pytest.raises(GalaxAlignError, match="1 of 40 galaxies were rejected"):
        build(tmp_path, max_rejected=0)
    assert done_in(tmp_path) == 39
    part = Unfinished(tmp_path / "images.h5").part
    content = bytearray(part.read_bytes())
    content[2048 + 17 * 768 + 100] ^= 1
    part.write_bytes(content)
    read.clear()
    store = build(tmp_path)
    assert sorted(read) == [f"{tmp_path}/images/{number}.jpg" for number in (17, 5)]
    assert store.path.read_bytes() == build(tmp_path, images=tmp_path / "whole.h5").path.read_bytes()


def test_galaxies_added_and_removed_and_relabelled(tmp_path, read):
    first = write_manifest(tmp_path, list(range(60)))
    before = build(tmp_path)
    pictures = before.pictures(np.arange(60))
    assert len(read) == 60

    # At the end, as when a catalogue grows; in front, so that every row shifts; some removed; others relabelled.
    for numbers, new in (
        (list(range(66)), list(range(60, 66))),
        ([70, 71, *range(66)], [70, 71]),
        (list(range(3, 50)), []),
        (list(range(49, 2, -1)), []),
    ):
        read.clear()
        write_manifest(tmp_path, numbers, label="edge-on")
        (tmp_path / "images.h5").unlink()
        store = build(tmp_path)
        assert read == [f"{tmp_path}/images/{number}.jpg" for number in new]
        assert set(store.label) == {1}
        old = [place for place, number in enumerate(numbers) if number < 60]
        wanted = pictures[[numbers[place] for place in old]]
        np.testing.assert_array_equal(store.pictures(np.array(old)), wanted)
        read.clear()
        assert (
            store.path.read_bytes()
            == build(tmp_path, images=tmp_path / f"whole{len(numbers)}{numbers[0]}.h5").path.read_bytes()
        )
    assert len(first) == 60


def test_only_changed_images_are_read_again(tmp_path, read):
    write_manifest(tmp_path, list(range(30)))
    build(tmp_path)
    read.clear()
    changed = tmp_path / "images/7.jpg"
    changed.write_bytes((tmp_path / "images/8.jpg").read_bytes())
    os.utime(changed, ns=(1, 1))
    (tmp_path / "images.h5").unlink()
    store = build(tmp_path)
    assert read == [str(changed)]
    assert np.array_equal(*store.pictures(np.array([7, 8])))


def test_another_recipe_or_limit_or_code_makes_all_anew(tmp_path, read, monkeypatch):
    write_manifest(tmp_path, list(range(10)))
    build(tmp_path)
    for change in ({"crop": 0.5}, {"size": 20}):
        read.clear()
        store = build(tmp_path, recipe=dataclasses.replace(RECIPE, **change))
        assert len(read) == 10
        assert store.pictures(np.arange(10)).shape[1] == change.get("size", 16)
    sources = [f"{tmp_path}/images/0.jpg"]
    keys = {tuple(picture_keys(sources, [""], RECIPE, 0.2)[0]), tuple(picture_keys(sources, [""], RECIPE, 0.3)[0])}
    monkeypatch.setattr("galaxalign.data.keys.code", lambda *_: "other")
    keys.add(tuple(picture_keys(sources, [""], RECIPE, 0.2)[0]))
    assert len(keys) == 3


def test_nothing_grows(tmp_path):
    """What is kept is the store itself, and never more than one."""
    for number in range(4):
        write_manifest(tmp_path, list(range(number, 30 + number)))
        store = build(tmp_path).path
        kept = list((tmp_path / ".images.h5.kept").iterdir())
        assert [path.name for path in kept] == ["images.h5"]
        assert kept[0].samefile(store)
        assert store.stat().st_nlink == 2


def test_a_reader_of_the_store_is_not_disturbed(tmp_path):
    """Who has the old store open sees the old galaxies while and after the new one is made."""
    write_manifest(tmp_path, list(range(20)))
    old = build(tmp_path)
    before = old.path.read_bytes()
    with h5py.File(old.path) as file:
        write_manifest(tmp_path, list(range(5, 30)))
        build(tmp_path)
        assert file["images"][:].tobytes() in before


def test_where_there_are_no_hard_links(tmp_path, read, monkeypatch, caplog):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    write_manifest(tmp_path, list(range(5)))
    build(tmp_path)
    assert "cannot have a second name" in caplog.text
    build(tmp_path)
    assert len(read) == 10


def test_a_kept_file_that_is_damaged_is_passed_over(tmp_path, read, caplog):
    write_manifest(tmp_path, list(range(5)))
    build(tmp_path).path.write_bytes(b"cut")
    build(tmp_path)
    assert len(read) == 10
    assert "its pictures are made anew" in caplog.text


def test_a_worker_that_dies_is_named_and_the_rest_is_kept(tmp_path):
    write_manifest(tmp_path, list(range(400)))
    words = """
        import os, signal, threading, time
        import galaxalign.data.workers as workers
        enter = workers.subprocess.Popen
        def killed(*words, **settings):
            process = enter(*words, **settings)
            def kill():
                time.sleep(1.5)
                os.kill(process.pid, signal.SIGKILL)
            threading.Thread(target=kill, daemon=True).start()
            return process
        workers.subprocess.Popen = killed
        make = workers.make_picture
        def slowly(*words):
            time.sleep(0.02)
            return make(*words)
        workers.make_picture = slowly
        try:
            build(folder, workers=2)
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            sys.exit(3)
    """
    process = start(tmp_path, words)
    status = process.wait()
    said = (tmp_path / "said").read_text()
    assert status == 3, said
    assert "GalaxAlignError a process that reads images ended (status -9) between" in said
    assert done_in(tmp_path) > 0


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ("a/b.fits", ["a/b.fits"]),
        ("a/x.h5#17", ["a/x.h5"]),
        ("a/x_{band}.fits", ["a/x_g.fits", "a/x_r.fits"]),
        ("a/tile_{band}.fits#cut=10.5,2.25,60", ["a/tile_g.fits", "a/tile_r.fits"]),
    ],
)
def test_files_of_a_locator(source, files):
    assert source_files(source, ("g", "r")) == files


def test_keys_follow_every_file_of_a_locator(tmp_path):
    for band in "grz":
        (tmp_path / f"tile_{band}.fits").write_bytes(b"x")
    sources = [f"{tmp_path}/tile_{{band}}.fits#cut={place}" for place in (1, 2)]
    before = picture_keys(sources, ["", ""], RECIPE, 0.2)
    assert before.shape == (2, 2)
    assert not (before[0] == before[1]).any()
    assert (picture_keys(sources, ["", ""], RECIPE, 0.2) == before).all()
    (tmp_path / "tile_z.fits").write_bytes(b"xy")
    after = picture_keys(sources, ["", ""], RECIPE, 0.2)
    assert not (after == before).any()
    (tmp_path / "tile_z.fits").unlink()
    assert not (picture_keys(sources, ["", ""], RECIPE, 0.2) == after).any()


@pytest.mark.parametrize("library", ["pillow", "reproject"])
def test_another_version_of_a_library_makes_all_pictures_anew(tmp_path, read, monkeypatch, library):
    write_manifest(tmp_path, list(range(5)))
    build(tmp_path)
    assert len(read) == 5
    build(tmp_path)
    assert len(read) == 5
    monkeypatch.setattr("galaxalign.data.keys.version", lambda name: "0" if name == library else version(name))
    build(tmp_path)
    assert len(read) == 10


@pytest.mark.parametrize("first", [False, True])
def test_a_hundred_galaxies_more_than_five_thousand(tmp_path, read, caplog, first):
    before, more = list(range(5000)), list(range(5000, 5100))
    write_manifest(tmp_path, before)
    pictures = build(tmp_path).pictures(np.arange(5000))
    assert len(read) == 5000
    read.clear()
    caplog.set_level("INFO")
    write_manifest(tmp_path, more + before if first else before + more)
    longer = build(tmp_path)
    assert sorted(read) == sorted(f"{tmp_path}/images/{number}.jpg" for number in more)
    assert "5000 pictures are there from before, 100 are to be made" in caplog.text
    rows = np.arange(5000) + (100 if first else 0)
    assert np.array_equal(longer.pictures(rows), pictures)
    added = np.setdiff1d(np.arange(5100), rows)
    alone = make_picture(f"{tmp_path}/images/5007.jpg", RECIPE, 0.2).pixels
    assert np.array_equal(longer.pictures(added)[7], alone)


def peak_memory(folder, count):
    """Most memory, bytes, of a process that ingests one image `count` times."""
    table = write_manifest(folder, [0] * count)
    table["id"] = [f"G{number}" for number in range(count)]
    table.to_parquet(folder / "manifest.parquet", index=False)
    words = """
        import dataclasses
        from tests.data.stores import RECIPE
        build(folder, recipe=dataclasses.replace(RECIPE, size=96))
    """
    process = start(folder, words)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "said").read_text()
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_memory_does_not_grow_with_the_number_of_galaxies(tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few, many = peak_memory(tmp_path / "few", 500), peak_memory(tmp_path / "many", 8000)
    # The pictures are 207 MB more.
    assert many - few < 40e6


def test_a_process_that_reads_images_starts_without_what_plain_images_do_not_need():
    said = "import sys, galaxalign.data.workers; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert "numpy" in done.stdout.split()
    assert not {"astropy", "scipy", "pandas", "reproject", "torch", "matplotlib"} & set(done.stdout.split())
