"""A disk without room: the file from before stays whole, and the sentence says what to do."""

import subprocess
import sys

import pytest
import torch

from galaxalign.align.files import save_whole
from galaxalign.errors import GalaxAlignError

# The kernel itself refuses to write more than the limit, as a full disk or a quota does.
WRITE = """
import resource, signal, sys
from pathlib import Path
import torch
from galaxalign.align.files import save_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
save_whole(Path(sys.argv[1]), {"weights": torch.ones(1_000_000)})
"""


def test_without_room_the_old_checkpoint_stays_whole(tmp_path):
    path = tmp_path / "model.pt"
    save_whole(path, {"weights": torch.zeros(3)})
    done = subprocess.run([sys.executable, "-c", WRITE, path], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "model.pt cannot be written" in done.stderr
    assert "the one from before is whole" in done.stderr
    assert torch.equal(torch.load(path, weights_only=True)["weights"], torch.zeros(3))
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GalaxAlignError, match=r"none/model.pt cannot be written .No such file.*nothing was there"):
        save_whole(tmp_path / "none/model.pt", {})
