"""A server on this machine that answers as the Legacy Survey's cutout service does, and errs as told."""

import contextlib
import http.server
import io
import socket
import struct
import threading
import time
import urllib.parse

import numpy as np
from astropy.io import fits
from PIL import Image

PAGE = b"<html><head><title>503 Service Unavailable</title></head><body><h1>Try later</h1></body></html>"


def fits_cutout(ra, dec, *, size, bands, pixscale, seed=0):
    """The body of a FITS answer: a cube in the bands' order, TAN, north up, nanomaggies."""
    header = fits.Header({"SURVEY": "LegacySurvey", "BANDS": bands})
    header["CTYPE1"], header["CTYPE2"], header["CRVAL1"], header["CRVAL2"] = "RA---TAN", "DEC--TAN", ra, dec
    header["CRPIX1"] = header["CRPIX2"] = (size + 1) / 2
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -pixscale / 3600, 0.0, 0.0, pixscale / 3600
    shape = (len(bands), size, size) if len(bands) > 1 else (size, size)
    flux = np.random.default_rng([seed, round(ra * 1e6)]).normal(0.02, 0.01, shape).astype(np.float32)
    body = io.BytesIO()
    fits.PrimaryHDU(flux, header).writeto(body)
    return body.getvalue()


def jpeg_cutout(ra, *, size):
    pixels = np.random.default_rng(round(ra * 1e6)).integers(0, 255, (size, size, 3), np.uint8)
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, "JPEG", quality=95)
    return body.getvalue()


class CutoutServer(http.server.ThreadingHTTPServer):
    """Answers every request, or does for the n-th of a position what `plan` says of it.

    `plan` maps the ``ra`` of a request, or "any", to a list of steps: a status, or one of ``page``, ``empty``,
    ``cut`` (a body that breaks off), ``silent cut`` (without a length that would tell), ``reset``, ``slow``, ``small``
    (another size), ``other`` (another position), ``coarse`` (larger pixels), ``void`` (a FITS file without an image),
    ``wait`` (429 with Retry-After), ``text``. Once a list is used up, requests are answered.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, plan=None, *, pause=0.0):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan = {key: list(steps) for key, steps in (plan or {}).items()}
        self.pause, self.requests, self.agents, self.times = pause, [], set(), []
        self.lock, self.busy, self.most_busy = threading.Lock(), 0, 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self):
        """The template of the service's address."""
        return (
            f"http://127.0.0.1:{self.server_port}/viewer/cutout.{{format}}"
            "?ra={ra}&dec={dec}&layer={layer}&pixscale={pixscale}&size={size}&bands={bands}"
        )

    def step(self, ra):
        with self.lock:
            for key in (ra, "any"):
                if self.plan.get(key):
                    return self.plan[key].pop(0)
        return None

    def stop(self):
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, url = self.server, urllib.parse.urlsplit(self.path)
        with server.lock:
            server.requests.append(self.path)
            server.agents.add(self.headers.get("User-Agent"))
            server.times.append(time.monotonic())
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        time.sleep(server.pause)
        with server.lock:
            # Before the answer, after which the client may have sent another request already.
            server.busy -= 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.answer(url.path, {key: words[0] for key, words in urllib.parse.parse_qs(url.query).items()})

    def answer(self, path, asked):
        step = self.server.step(asked["ra"])
        if isinstance(step, int):
            self.send_error(step)
            return
        ra, dec, size = float(asked["ra"]), float(asked["dec"]), int(asked["size"])
        size = size // 2 if step == "small" else size
        if path.endswith(".fits"):
            dec, pixscale = dec + (step == "other") * 3e-4, float(asked["pixscale"]) * (1.1 if step == "coarse" else 1)
            body = fits_cutout(ra, dec, size=size, bands=asked["bands"], pixscale=pixscale)
        else:
            body = jpeg_cutout(ra, size=size)
        match step:
            case "wait":
                self.send_response(429)
                self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "reset":
                # Closing with this option sends a reset instead of an end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            case "cut":
                self.send(body[: len(body) // 2], length=len(body))
            case "silent cut":
                self.send(body[: len(body) // 2], length=None)
            case "page":
                self.send(PAGE, length=len(PAGE))
            case "text":
                self.send(b"no such layer", length=None)
            case "empty":
                self.send(b"", length=0)
            case "void":
                void = io.BytesIO()
                fits.PrimaryHDU(header=fits.Header({"OVERLAP": False})).writeto(void)
                self.send(void.getvalue(), length=None)
            case "large":
                self.send(body + bytes(2**23), length=None)
            case "slow":
                self.send(body, length=len(body), pieces=5, pause=0.05)
            case _:
                self.send(body, length=len(body))

    def send(self, body, *, length, pieces=1, pause=0.0):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        step = -(-len(body) // pieces) or 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(pause)

    def log_message(self, *args):
        pass
