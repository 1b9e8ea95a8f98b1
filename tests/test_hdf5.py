"""An HDF5 file on a disk without room: the one from before stays whole, and the process lives to say so."""

import subprocess
import sys

import h5py
import numpy as np

from galaxalign.hdf5 import whole_hdf5

# The kernel itself refuses to write more than the limit, as a full disk or a quota does.
WRITE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from galaxalign.hdf5 import whole_hdf5
from galaxalign.logs import log_to
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with log_to(sys.argv[2]), whole_hdf5(Path(sys.argv[1])) as file:
    file["embedding"] = np.ones((1000, 128), np.float32)
"""


def test_without_room_the_old_file_stays_whole(tmp_path):
    path = tmp_path / "embeddings.h5"
    with whole_hdf5(path) as file:
        file["embedding"] = np.arange(3)
    words = [sys.executable, "-c", WRITE, str(path), str(tmp_path / "log")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    with h5py.File(path) as file:
        assert file["embedding"][:].tolist() == [0, 1, 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["embeddings.h5", "log"]
