"""An HDF5 file on a disk without room: the one from before stays whole, and the process lives to say so."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from galaxalign.hdf5 import whole_hdf5

# The kernel itself refuses to write more than the limit, as a full disk or a quota does.
WRITE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from galaxalign.hdf5 import whole_hdf5
from galaxalign.logs import log_to
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
with log_to(sys.argv[2]), whole_hdf5(Path(sys.argv[1])) as file:
    file["embedding"] = np.ones((1000, 128), np.float32)
    file.attrs["texts"] = "a spiral" * 1000
    print("filled")
"""


# Room for nothing, for a part of the embeddings, and for all but what HDF5 writes as it closes the file.
@pytest.mark.parametrize(("room", "filled"), [(1, False), (100_000, False), (515_000, True)])
def test_without_room_the_old_file_stays_whole(tmp_path, room, filled):
    path = tmp_path / "embeddings.h5"
    with whole_hdf5(path) as file:
        file["embedding"] = np.arange(3)
    words = [sys.executable, "-c", WRITE, str(path), str(tmp_path / "log"), str(room)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("filled" in done.stdout) == filled
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    with h5py.File(path) as file:
        assert file["embedding"][:].tolist() == [0, 1, 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["embeddings.h5", "log"]


def test_a_file_of_any_size_is_written_as_it_is_filled(tmp_path):
    path = tmp_path / "embeddings.h5"
    with whole_hdf5(path) as file:
        rows = file.create_dataset("embedding", (1000, 128), np.float32)
        for start in range(0, 1000, 200):
            rows[start : start + 200] = start
            assert (tmp_path / ".embeddings.h5.part").stat().st_size >= (start + 200) * 512
        assert not path.exists()
    with h5py.File(path) as file:
        assert file["embedding"][:, 0].tolist() == [row // 200 * 200 for row in range(1000)]
    assert [file.name for file in tmp_path.iterdir()] == ["embeddings.h5"]


def test_a_job_that_fails_as_it_fills_the_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "embeddings.h5"
    path.write_bytes(b"old")

    def fail():
        with whole_hdf5(path) as file:
            file["embedding"] = np.arange(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["embeddings.h5"]
