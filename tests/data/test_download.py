"""Downloads from a server on this machine that knows ranges, breaks off, and errs."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from galaxalign.data import download as module
from galaxalign.data.download import download
from galaxalign.errors import GalaxAlignError
from tests.data.fetching import no_proxy

__all__ = ["no_proxy"]

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT after misbehaving as `plan` says: a status, or how many bytes come before it breaks off."""

    ranges = lengths = True

    def __init__(self, plan=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests = list(plan), []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/galaxies.h5"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        step = self.server.plan.pop(0) if self.server.plan else None
        if step in (404, 429, 500, 503):
            self.send_error(step)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if asked and self.server.ranges else 200)
        if self.server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if step is None else body[:step])

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*plan):
        server = Server(plan)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetch(server, path, attempts=3, **checksums):
    download(url=server.url, checksums=checksums or {"sha256": SHA256}, path=path, attempts=attempts, pause=0.0)


def test_a_file_arrives_whole(serve, tmp_path):
    fetch(serve(), tmp_path / "a.h5", sha256=SHA256.upper())
    assert (tmp_path / "a.h5").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_file_whose_md5_is_known(serve, tmp_path):
    fetch(serve(), tmp_path / "a.h5", md5=hashlib.md5(CONTENT).hexdigest())
    assert (tmp_path / "a.h5").read_bytes() == CONTENT
    with pytest.raises(GalaxAlignError, match=r"has MD5 \w{32}, not 0000.*correct `url` or `md5`"):
        fetch(serve(), tmp_path / "b.h5", md5="0" * 32)


def test_a_broken_transfer_is_continued(serve, tmp_path):
    server = serve(100_000, 50_000)
    fetch(server, tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_continues(serve, tmp_path):
    server = serve(100_000, 503, 503, 503)
    with pytest.raises(
        GalaxAlignError, match=r"broke off 3 times in a row.*503.*; 100000 bytes are kept in .*a\.h5\.part"
    ):
        fetch(server, tmp_path / "a.h5")
    assert (tmp_path / "a.h5.part").stat().st_size == 100_000
    fetch(server, tmp_path / "a.h5")
    assert server.requests[-1] == "bytes=100000-"
    assert (tmp_path / "a.h5").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(serve, tmp_path):
    server = serve(100_000)
    server.ranges = False
    fetch(server, tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("lengths", [True, False])
def test_a_slow_file_whose_length_is_small_or_not_stated(serve, tmp_path, monkeypatch, lengths):
    monkeypatch.setattr("galaxalign.logs.SECONDS_BETWEEN_LINES", 0.0)
    server = serve()
    server.lengths = lengths
    fetch(server, tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == CONTENT


def test_a_part_that_is_already_whole(serve, tmp_path):
    (tmp_path / "a.h5.part").write_bytes(CONTENT)
    fetch(serve(), tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == CONTENT


def test_attempts_that_bring_something_do_not_count(serve, tmp_path):
    fetch(serve(*[10_000] * 8), tmp_path / "a.h5", attempts=2)
    assert (tmp_path / "a.h5").read_bytes() == CONTENT


def test_beginning_anew_is_no_progress(serve, tmp_path):
    server = serve(*[300, 200] * 20)
    server.ranges = False
    with pytest.raises(GalaxAlignError, match="broke off 3 times in a row"):
        fetch(server, tmp_path / "a.h5")
    assert len(server.requests) == 3


def test_a_disk_that_refuses_is_no_fault_of_the_server(serve, tmp_path):
    server = serve()
    (tmp_path / "a.h5.part").symlink_to("/dev/full")
    with pytest.raises(GalaxAlignError, match=r"a\.h5\.part cannot be written \(No space left on device\): make room"):
        fetch(server, tmp_path / "a.h5")
    assert len(server.requests) == 1


def test_passing_errors_are_retried(serve, tmp_path):
    server = serve(500, 429)
    fetch(server, tmp_path / "a.h5")
    assert len(server.requests) == 3


def test_a_wrong_address_is_not_retried(serve, tmp_path):
    server = serve(404)
    with pytest.raises(GalaxAlignError, match=r"the server answers 404 .*: correct `url`"):
        fetch(server, tmp_path / "a.h5")
    assert len(server.requests) == 1


def test_another_checksum_removes_the_file(serve, tmp_path):
    with pytest.raises(GalaxAlignError, match=f"has SHA256 {SHA256}, not 000.*removed"):
        fetch(serve(), tmp_path / "a.h5", sha256="0" * 64)
    assert not list(tmp_path.iterdir())


def test_nobody_answers(tmp_path):
    server = Server()
    server.server_close()
    with pytest.raises(GalaxAlignError, match="broke off 2 times in a row"):
        fetch(server, tmp_path / "a.h5", attempts=2)


def test_attempts_wait_longer_and_longer(serve, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    download(url=serve(500, 500, 500).url, checksums={"sha256": SHA256}, path=tmp_path / "a.h5", attempts=4, pause=1.0)
    assert waits == [1.0, 2.0, 4.0]
