"""A service that answers on this machine, and galaxies whose cutouts are fetched from it."""

import pandas as pd
import pytest

from galaxalign.data.cutouts import fetch_cutouts
from galaxalign.data.service import Service
from tests.data.cutout_server import CutoutServer

COLUMNS = {"id": "name", "ra": "ra", "dec": "dec"}
SIZE = 16


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve():
    servers = []

    def start(plan=None, **options):
        servers.append(CutoutServer(plan, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def service_of(server, folder, **changes):
    settings = {
        "url": server.url,
        "format": "fits",
        "layer": "ls-dr10",
        "bands": "grz",
        "pixscale": 0.262,
        "size": SIZE,
        "requests_per_second": 1000.0,
        "connections": 4,
        "attempts": 3,
        "cache": folder / "cache",
    }
    return Service(**settings | changes)


def write_catalogue(folder, galaxies, *, first=0):
    """Galaxies whose right ascension is their number."""
    numbers = range(first, first + galaxies)
    table = pd.DataFrame({"name": [f"g{number}" for number in numbers], "ra": numbers, "dec": 2.5})
    table.to_csv(folder / "catalog.csv", index=False)
    return folder / "catalog.csv"


def fetch(folder, service, *, galaxies=8, max_rejected=1.0, pause=0.0, catalogue=None):
    fetch_cutouts(
        catalogue=catalogue or write_catalogue(folder, galaxies),
        columns=COLUMNS,
        service=service,
        max_rejected=max_rejected,
        pause=pause,
        folder=folder / "cutouts",
        failures=folder / "failures.tsv",
        failures_if_failed=folder / "log.failures.tsv",
    )
    return pd.read_csv(folder / "failures.tsv", sep="\t", dtype=str).set_index("id")


def ra(number):
    return f"{number:.6f}"
