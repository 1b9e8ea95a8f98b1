"""How a service is asked: no faster than allowed, as long after an error as it asks, and not for ever."""

import time

import pytest

from galaxalign.data import service as service_module
from galaxalign.data import web
from galaxalign.data.pace import Pace
from galaxalign.data.web import seconds_to_wait
from galaxalign.errors import GalaxAlignError
from tests.data.cutout_server import CutoutServer
from tests.data.fetching import fetch, no_proxy, ra, serve, service_of

__all__ = ["no_proxy", "serve"]


def test_a_service_that_does_not_answer_is_left_alone(serve, tmp_path):
    server = serve({"any": [503] * 10_000})
    service = service_of(server, tmp_path, attempts=1, connections=2, requests_per_second=500.0)
    with pytest.raises(
        GalaxAlignError, match=r"127.0.0.1:\d+ did not answer for 25 galaxies in a row; what came is kept"
    ):
        fetch(tmp_path, service, galaxies=360)
    assert len(server.requests) < 200


def test_nobody_listens(serve, tmp_path):
    server = CutoutServer()
    server.stop()
    failures = fetch(tmp_path, service_of(server, tmp_path, attempts=2), galaxies=2)
    assert failures["reason"].str.contains("gave up after 2 attempts.*refused").all()


def test_a_server_that_falls_silent(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "SECONDS_OF_SILENCE", 0.05)
    failures = fetch(tmp_path, service_of(serve(pause=0.5), tmp_path, attempts=1), galaxies=2)
    assert failures["reason"].str.contains("timed out").all()


def test_an_answer_that_trickles(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(service_module, "SECONDS_AN_ANSWER", 0.01)
    failures = fetch(tmp_path, service_of(serve({"any": ["slow"]}), tmp_path, attempts=1), galaxies=1)
    assert failures["reason"].str.contains("took longer than 0.01 s").all()


def test_the_rate_holds_for_all_connections(serve, tmp_path):
    server = serve(pause=0.2)
    started = time.monotonic()
    fetch(tmp_path, service_of(server, tmp_path, requests_per_second=20.0, connections=8), galaxies=12)
    # A lower bound: no request may come early, however fast the machine is.
    assert time.monotonic() - started >= 11 / 20
    assert 1 < server.most_busy <= 8


def test_connections_are_not_more_than_allowed(serve, tmp_path):
    server = serve(pause=0.05)
    fetch(tmp_path, service_of(server, tmp_path, connections=2), galaxies=12)
    assert server.most_busy == 2


def test_all_connections_wait_as_long_as_the_server_asks(serve, tmp_path):
    server = serve({ra(0): ["wait"]})
    fetch(tmp_path, service_of(server, tmp_path, connections=1), galaxies=3)
    assert [path.partition("&")[0][-8:] for path in server.requests] == ["0.000000", "0.000000", "1.000000", "2.000000"]
    assert server.times[1] - server.times[0] >= 1.0


def test_pauses_grow_and_vary(serve, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(Pace, "sleep", lambda self, seconds: pauses.append(seconds) if seconds > 0.5 else None)
    fetch(tmp_path, service_of(serve({"any": [500] * 4}), tmp_path, attempts=5, connections=1), galaxies=1, pause=2.0)
    assert len(pauses) == 4
    for pause, middle in zip(pauses, (2.0, 4.0, 8.0, 16.0), strict=True):
        assert 0.5 * middle <= pause <= 1.5 * middle
    assert len({pause / middle for pause, middle in zip(pauses, (2.0, 4.0, 8.0, 16.0), strict=True)}) == 4


def test_headers_that_ask_to_wait():
    assert seconds_to_wait(None, 0.0) == 0.0
    assert seconds_to_wait("soon", 0.0) == 0.0
    assert seconds_to_wait("120", 0.0) == 120.0
    assert seconds_to_wait("999999", 0.0) == 600.0
    assert seconds_to_wait("Thu, 01 Jan 1970 00:00:05 GMT", 10.0) == 0.0


def test_who_gives_up_lets_the_others_wait_too(serve, tmp_path):
    server = serve({ra(0): ["wait"]})
    fetch(tmp_path, service_of(server, tmp_path, attempts=1, connections=1), galaxies=2)
    assert server.times[1] - server.times[0] >= 1.0
