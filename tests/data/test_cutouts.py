"""Cutouts by position from a server on this machine: whole and once, whatever goes wrong on the way."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from PIL import Image

from galaxalign.data.cache import Cache
from galaxalign.data.cutouts import cutout_name, locate_cutouts
from galaxalign.data.readers import read_image
from galaxalign.data.service import Request, _check_fits, read_cutout
from galaxalign.data.web import Passing, Refused, answer, first_words
from galaxalign.errors import GalaxAlignError
from tests.conftest import ROOT
from tests.data import cutout_server
from tests.data.cutout_server import fits_cutout
from tests.data.fetching import SIZE, fetch, no_proxy, ra, serve, service_of, write_catalogue

__all__ = ["no_proxy", "serve"]


def test_what_is_asked_and_what_comes(serve, tmp_path):
    server = serve()
    failures = fetch(tmp_path, service_of(server, tmp_path))
    assert not len(failures)
    assert sorted(server.requests)[3] == (
        "/viewer/cutout.fits?ra=3.000000&dec=2.500000&layer=ls-dr10&pixscale=0.262&size=16&bands=grz"
    )
    assert len(server.requests) == 8
    assert all("GalaxAlign" in agent for agent in server.agents)
    body = (tmp_path / "cutouts/g3.fits").read_bytes()
    assert body == fits_cutout(3.0, 2.5, size=SIZE, bands="grz", pixscale=0.262)
    image = read_image(str(tmp_path / "cutouts/g3.fits"), cube_bands=(), bands=("z", "g"))
    assert image.values.shape == (2, SIZE, SIZE)


def test_jpegs(serve, tmp_path):
    server = serve({ra(1): ["small"], ra(2): ["cut"], ra(3): ["silent cut"], ra(4): ["page", "page", "page"]})
    failures = fetch(tmp_path, service_of(server, tmp_path, format="jpg"))
    assert list(failures.index) == ["g1", "g4"]
    assert "the picture is 8 x 8, 16 x 16 was asked for" in failures["reason"]["g1"]
    assert "no JPEG file but says: 503 Service Unavailable Try later" in failures["reason"]["g4"]
    for number in (0, 2, 3):
        with Image.open(tmp_path / f"cutouts/g{number}.jpg") as image:
            assert image.size == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("steps", "requests"),
    [
        ([500], 2),
        ([503, 502], 3),
        ([429], 2),
        (["cut"], 2),
        (["silent cut", "cut"], 3),
        (["empty"], 2),
        (["page"], 2),
        (["text"], 2),
        (["reset"], 2),
        (["reset", "empty"], 3),
        (["slow"], 1),
    ],
)
def test_what_passes_is_asked_again(serve, tmp_path, steps, requests):
    server = serve({ra(1): steps})
    assert not len(fetch(tmp_path, service_of(server, tmp_path), galaxies=2))
    assert len([path for path in server.requests if "ra=1.0" in path]) == requests
    body = (tmp_path / "cutouts/g1.fits").read_bytes()
    assert body == fits_cutout(1.0, 2.5, size=SIZE, bands="grz", pixscale=0.262)


@pytest.mark.parametrize(
    ("step", "requests", "words"),
    [
        (404, 1, r"the server answers 404 \(Error response .*Not Found"),
        (400, 1, "the server answers 400"),
        (500, 3, "gave up after 3 attempts: the server answers 500"),
        ("cut", 3, r"gave up after 3 attempts: \d+ of \d+ bytes are missing"),
        ("silent cut", 3, "ends before its image does|damaged FITS"),
        ("empty", 3, "the answer is empty"),
        ("page", 3, "no FITS file but says: 503 Service Unavailable Try later"),
        ("text", 3, "says: no such layer"),
        ("reset", 3, "reset by peer|closed connection|Remote end"),
        ("small", 1, r"the shape \(3, 8, 8\), \(3, 16, 16\) was asked for"),
        ("void", 1, "no image at this position"),
        ("other", 1, r"middle of the image lies at RA, Dec 1\.000000 \+2\.500300, 1\.000000 \+2\.500000 was asked for"),
        ("coarse", 1, "the image has pixels of 0.2882 arcsec, 0.262 were asked for"),
        ("large", 1, "larger than"),
    ],
)
def test_what_does_not_come_is_named(serve, tmp_path, step, requests, words):
    server = serve({ra(1): [step] * 3})
    failures = fetch(tmp_path, service_of(server, tmp_path), galaxies=3)
    assert list(failures.index) == ["g1"]
    assert "ra=1.000000" in failures["url"]["g1"]
    assert pd.Series([failures["reason"]["g1"]]).str.contains(words).all(), failures["reason"]["g1"]
    assert len([path for path in server.requests if "ra=1.0" in path]) == requests
    assert sorted(path.name for path in (tmp_path / "cutouts").iterdir()) == ["g0.fits", "g2.fits"]
    assert not list((tmp_path / "cache/partial").iterdir())


def test_failures_become_flags(serve, tmp_path):
    server = serve({ra(1): [404]})
    table = pd.DataFrame({"name": ["g0", "g1", "g2"], "ra": ["0", "1", ""], "dec": "2.5"})
    table.to_csv(tmp_path / "catalog.csv", index=False)
    fetch(tmp_path, service_of(server, tmp_path), catalogue=tmp_path / "catalog.csv")
    galaxies = pd.DataFrame({"id": ["g0", "g1", "g2"], "ra": [0.0, 1.0, np.nan], "dec": 2.5})
    found = locate_cutouts(galaxies, tmp_path / "failures.tsv", tmp_path / "cutouts", ".fits")
    assert list(found["flag"]) == ["", "missing_file", "position"]
    assert "the server answers 404" in found["reason"][1]
    assert found["source"][0] == str(tmp_path / "cutouts/g0.fits")
    assert len(server.requests) == 2


def test_what_is_there_is_not_fetched_again(serve, tmp_path):
    server = serve({ra(5): [404]})
    assert list(fetch(tmp_path, service_of(server, tmp_path)).index) == ["g5"]
    assert len(server.requests) == 8
    assert not len(fetch(tmp_path, service_of(server, tmp_path)))
    assert len(server.requests) == 9
    # Another data set, with the same galaxies under other names and some more.
    other = tmp_path / "other"
    other.mkdir()
    catalogue = write_catalogue(other, 10)
    catalogue.write_text(catalogue.read_text().replace("g", "h"))
    fetch(other, service_of(server, tmp_path), catalogue=catalogue)
    assert len(server.requests) == 11
    assert (other / "cutouts/h3.fits").read_bytes() == (tmp_path / "cutouts/g3.fits").read_bytes()
    # Another request is another cutout.
    fetch(tmp_path, service_of(server, tmp_path, layer="ls-dr9"))
    assert len(server.requests) == 19


def test_a_damaged_file_of_the_cache_is_fetched_again(serve, tmp_path, caplog):
    server = serve()
    fetch(tmp_path, service_of(server, tmp_path), galaxies=2)
    kept = next(path for path in (tmp_path / "cache").glob("*/*/*.fits"))
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"x")
    fetch(tmp_path, service_of(server, tmp_path), galaxies=2)
    assert len(server.requests) == 3
    assert kept.read_bytes() == whole
    assert "is damaged and was removed" in caplog.text


def test_a_damaged_file_that_another_process_has_removed(tmp_path, monkeypatch):
    cache = Cache(tmp_path, ".fits")
    path = cache.keep("request", b"whole")
    path.write_bytes(b"other")
    unlink = Path.unlink

    def twice(self, **settings):
        unlink(self)
        unlink(self, **settings)

    monkeypatch.setattr(Path, "unlink", twice)
    assert cache.find("request") is None
    assert cache.find("request") is None


def test_a_copy_from_the_cache_is_as_old_as_its_original(serve, tmp_path, monkeypatch):
    """Where there are no hard links; by its time a picture is known to be that of before."""
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError))
    server = serve()
    for _ in range(2):
        fetch(tmp_path, service_of(server, tmp_path), galaxies=1)
        (kept,) = (tmp_path / "cache").glob("*/*/*.fits")
        assert (tmp_path / "cutouts/g0.fits").stat().st_mtime_ns == kept.stat().st_mtime_ns


def test_galaxies_at_one_position_are_fetched_once(serve, tmp_path):
    server = serve()
    pd.DataFrame({"name": ["a", "b", "c/../d"], "ra": 7, "dec": 2.5}).to_csv(tmp_path / "catalog.csv", index=False)
    fetch(tmp_path, service_of(server, tmp_path), catalogue=tmp_path / "catalog.csv")
    assert len(server.requests) == 1
    assert sorted(path.name for path in (tmp_path / "cutouts").iterdir()) == ["a.fits", "b.fits", "c%2F..%2Fd.fits"]


def test_names_of_files():
    assert cutout_name("587722952767439450", ".fits") == "587722952767439450.fits"
    assert cutout_name("J1 +2.5", ".jpg") == "J1 +2.5.jpg"
    assert cutout_name("a/b", ".jpg") == "a%2Fb.jpg"
    assert len(cutout_name("x" * 300, ".jpg")) == 68
    assert "/" not in cutout_name("../etc", ".jpg")
    assert not cutout_name("..", ".jpg").startswith(".")
    assert len({cutout_name(name, "") for name in ("a%2Fb", "a/b", "a b", "A/b")}) == 4


def test_too_many_failures_stop_the_rest(serve, tmp_path):
    server = serve({"any": [404] * 1000})
    service = service_of(server, tmp_path, connections=1, requests_per_second=200.0)
    words = (
        r"4 of 60 galaxies could not be fetched, data.max_rejected allows 5 %: the server answers 404.*log.failures.tsv"
    )
    with pytest.raises(GalaxAlignError, match=words):
        fetch(tmp_path, service, galaxies=60, max_rejected=0.05)
    assert len(server.requests) < 40
    assert len(pd.read_csv(tmp_path / "log.failures.tsv", sep="\t")) == 4
    assert not (tmp_path / "failures.tsv").exists()
    server.plan.clear()
    assert not len(fetch(tmp_path, service, galaxies=60, max_rejected=0.05))
    assert not (tmp_path / "log.failures.tsv").exists()


KILLED = """
import sys
from pathlib import Path
from galaxalign.data.cutouts import fetch_cutouts
from galaxalign.data.service import Service
folder = Path(sys.argv[1])
fetch_cutouts(
    catalogue=folder / "catalog.csv", columns={"id": "name", "ra": "ra", "dec": "dec"}, max_rejected=1.0, pause=0.0,
    service=Service(url=sys.argv[2], format="fits", layer="ls-dr10", bands="grz", pixscale=0.262, size=16,
                    requests_per_second=1000.0, connections=4, attempts=3, cache=folder / "cache"),
    folder=folder / "cutouts", failures=folder / "failures.tsv", failures_if_failed=folder / "log.failures.tsv",
)
"""


def test_a_fetch_that_was_killed_goes_on(serve, tmp_path):
    server = serve(pause=0.05)
    write_catalogue(tmp_path, 60)
    job = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), server.url], cwd=ROOT)
    for _ in range(1200):
        if len(server.requests) >= 20 or job.poll() is not None:
            break
        time.sleep(0.05)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    before, kept = len(server.requests), list((tmp_path / "cache").glob("??/??/*.fits"))
    assert 20 <= before < 60
    assert len(kept) >= before - 8
    assert not len(fetch(tmp_path, service_of(server, tmp_path), catalogue=tmp_path / "catalog.csv"))
    assert len(server.requests) - before == 60 - len(kept)
    assert len(list((tmp_path / "cutouts").iterdir())) == 60
    for path in (tmp_path / "cutouts").iterdir():
        assert fits.getdata(path).shape == (3, SIZE, SIZE)


def test_unfinished_files_of_the_dead_are_cleared_away(tmp_path):
    Cache(tmp_path, ".fits")
    for name, age in (("old", 7200), ("new", 0)):
        (tmp_path / "partial" / name).write_bytes(b"half")
        os.utime(tmp_path / "partial" / name, (time.time() - age,) * 2)
    Cache(tmp_path, ".fits")
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["new"]


def test_one_band_is_an_image_and_no_cube(serve, tmp_path):
    service = service_of(serve(), tmp_path, bands="r")
    body = read_cutout(service.request(1.0, 2.0), service)
    with pytest.raises(Refused, match=r"shape \(16, 16\), \(3, 16, 16\) was asked"):
        read_cutout(service.request(1.0, 2.0), replace(service, bands="grz"))
    assert fits.PrimaryHDU.fromstring(body).data.shape == (SIZE, SIZE)
    with pytest.raises(Passing):
        read_cutout(Request(url=service.url.replace("127.0.0.1", "127.0.0.1:1/"), ra=1.0, dec=2.0), service)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"NAXIS   =                    3", b"NAXIS   =           9999999999", "damaged FITS file: BITPIX -32, NAXIS"),
        (b"BITPIX  =                  -32", b"BITPIX  =                  -33", "damaged FITS file: BITPIX -33"),
        (b"SIMPLE  =                    T", b"SIMPLE  =                    F", "damaged FITS file"),
    ],
)
def test_a_damaged_answer_may_be_better_a_little_later(serve, tmp_path, monkeypatch, before, after, words):
    def damaged(*args, **settings):
        whole = fits_cutout(*args, **settings)
        assert before in whole
        return whole.replace(before, after)

    monkeypatch.setattr(cutout_server, "fits_cutout", damaged)
    service = service_of(serve(), tmp_path)
    with pytest.raises(Passing, match=words):
        read_cutout(service.request(1.0, 2.0), service)


def test_a_way_on_to_no_address_is_refused_and_other_mistakes_are_not_taken_for_it(serve, tmp_path):
    class Onward(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", "http://[::1/")
            self.end_headers()

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Onward) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            pytest.raises(Refused, match="names an address that is none"),
            answer(f"http://127.0.0.1:{server.server_port}/", {}),
        ):
            pass
        server.shutdown()
    service = service_of(serve(), tmp_path)
    with pytest.raises(ValueError, match="our own"), answer(service.request(1.0, 2.0).url, {}):
        raise ValueError("our own")


def test_first_words():
    assert first_words(b"<html><script>var a = 1 < 2;</script><h1>Not\n here</h1>") == "Not here"
    assert first_words(b"\xff\x00\x01 a") == "�.. a"


def test_other_bands_than_asked_for_are_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(cutout_server, "fits_cutout", lambda *args, **settings: fits_cutout(*args, **swapped(settings)))
    failures = fetch(tmp_path, service_of(serve(), tmp_path), galaxies=1)
    assert failures["reason"].tolist() == ["the image has the bands zrg, grz were asked for"]


@pytest.mark.parametrize(
    "changes",
    [
        {"CRPIX1": 10.0, "CRPIX2": 6.5},
        {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR"},
        {"CTYPE1": "", "CTYPE2": ""},
        {"CD1_1": 0.0},
    ],
)
def test_a_pixel_or_two_aside_and_headers_that_tell_no_sky_are_accepted(serve, tmp_path, monkeypatch, changes):
    def changed(*args, **settings):
        with fits.open(io.BytesIO(fits_cutout(*args, **settings))) as units:
            units[0].header.update(changes)
            body = io.BytesIO()
            units.writeto(body)
        return body.getvalue()

    monkeypatch.setattr(cutout_server, "fits_cutout", changed)
    assert not len(fetch(tmp_path, service_of(serve(), tmp_path), galaxies=2))


def test_real_cutouts_are_what_was_asked_for(real_data, tmp_path):
    service = service_of(Mock(url=""), tmp_path)
    for path in sorted((real_data / "fits/decals_grz").glob("*.fits")):
        header = fits.getheader(path)
        asked = replace(service, size=header["NAXIS1"], pixscale=3600 * header["CD2_2"], bands="grz")
        _check_fits(path.read_bytes(), asked, Request(url="", ra=header["CRVAL1"], dec=header["CRVAL2"]))


def swapped(settings):
    return settings | {"bands": settings["bands"][::-1]}
