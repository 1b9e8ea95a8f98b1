"""What the library says and how it is tied to what it makes."""

import doctest
import importlib
import logging
import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap

import pytest

from galaxalign import provenance
from galaxalign.errors import GalaxAlignError
from galaxalign.logs import log_to, progress
from tests.conftest import ROOT

WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("galaxalign", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.fixture(autouse=True)
def quiet_after():
    """Handlers that a job's log put in place do not outlive its test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    level = logging.getLogger("galaxalign").level
    yield
    logging.getLogger("galaxalign").setLevel(level)
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers[:], root.level = before[0], before[1]
    logging.captureWarnings(False)


def test_user_errors_are_one_sentence_on_the_terminal_and_a_traceback_in_the_log(tmp_path, capsys):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as ended, log_to(str(log)):
        raise GalaxAlignError("catalog.csv: no column 'lable'; did you mean 'label'?")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.strip() == "error: catalog.csv: no column 'lable'; did you mean 'label'?"
    assert "Traceback" in log.read_text()


def test_other_errors_name_the_log(tmp_path, capsys):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit), log_to(str(log)):
        raise ZeroDivisionError("division by zero")
    said = capsys.readouterr().err
    assert str(log) in said
    assert "Traceback" not in said


def test_an_interrupted_job_says_so_in_a_sentence(tmp_path):
    log = tmp_path / "job.log"
    # Where tests run in the background of a shell it has Ctrl-C ignored, by them and by what they start.
    words = (
        "import signal, time; from galaxalign.logs import log_to\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with log_to({!r}):\n print(flush=True); time.sleep(60)"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", words.format(str(log))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    job.stdout.readline()
    job.send_signal(signal.SIGINT)
    _, said = job.communicate(timeout=30)
    assert (said.strip(), job.returncode) == ("stopped: run again to go on", 130)
    assert "KeyboardInterrupt" in log.read_text()


def test_progress_yields_everything_and_writes_plain_lines(caplog, monkeypatch):
    monkeypatch.setattr("galaxalign.logs.SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        assert list(progress(range(3), total=3, what="images", unit="galaxies")) == [0, 1, 2]
    assert "images: 3 of 3 galaxies" in caplog.text
    # The last of several blocks may be a smaller one.
    caplog.clear()
    with caplog.at_level(logging.INFO):
        list(progress(range(2), total=45, what="images", unit="galaxies", each=32))
    assert caplog.messages[-1].startswith("images: 45 of 45 galaxies")
    assert caplog.messages[-1].endswith(" 0 s left")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        list(progress(range(2), total=None, what="download", unit="MiB"))
    assert [line.partition(",")[0] for line in caplog.messages] == ["download: 1 MiB", "download: 2 MiB"]


def test_progress_draws_a_bar_on_a_terminal():
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    words = "from galaxalign.logs import progress; list(progress(range(3), total=3, what='training', unit='step'))"
    subprocess.run([sys.executable, "-c", words], stderr=terminal, check=True, cwd=ROOT)
    os.close(terminal)
    with os.fdopen(reader, "rb", buffering=0) as drawn:
        bar = drawn.read(4000).decode()
    assert "training:   0%" in bar
    assert "0/3" in bar


def test_code_digest_follows_imports(tmp_path, monkeypatch):
    package = tmp_path / "galaxalign"
    (package / "align").mkdir(parents=True)
    (package / "align/a.py").write_text("from galaxalign.align.b import f\n")
    (package / "align/b.py").write_text("f = 1\n")
    (package / "align/c.py").write_text("g = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    before = provenance.code("align.a")
    (package / "align/c.py").write_text("g = 2\n")
    assert provenance.code("align.a") == before
    (package / "align/b.py").write_text("f = 2\n")
    assert provenance.code("align.a") != before
    with pytest.raises(ValueError, match="no such library module"):
        provenance.code("align.z")


def test_importing_the_package_is_light():
    words = "import sys, galaxalign.settings, galaxalign.provenance; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_importing_the_package_sets_no_environment_variable():
    words = "import os; before = dict(os.environ); import galaxalign.settings; print(before == dict(os.environ))"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GALAXALIGN")}
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=ROOT, env=bare)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed


def test_torchvision_is_imported_whatever_torch_it_was_built_for():
    words = """
        from galaxalign.align.backbones import declare_torchvision
        declare_torchvision()
        declare_torchvision()
        import torchvision.transforms, timm, open_clip
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(words)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
