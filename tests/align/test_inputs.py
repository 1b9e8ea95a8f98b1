"""What a run reads, and how much of it stays in memory."""

import logging

import pytest

from galaxalign.align.inputs import read_inputs
from tests.align.small import recipe, source, train_shared


def held(inputs, memory: float) -> tuple[int, int]:
    """Bytes of training and of validation pictures in memory."""
    material = read_inputs(source(inputs, memory=memory), recipe()).material
    return material.train.held, material.validation.held


def test_training_and_validation_pictures_share_the_memory_that_is_stated(inputs):
    train, validation = held(inputs, 1e9)
    assert min(train, validation) > 0
    assert held(inputs, train + validation) == (train, validation)
    assert held(inputs, train + validation - 1) == (train, 0)
    assert held(inputs, 0) == (0, 0)


def test_processes_share_the_memory_too(inputs, monkeypatch):
    train, validation = held(inputs, 1e9)
    monkeypatch.setattr("galaxalign.align.inputs.world", lambda: 2)
    assert held(inputs, 2 * (train + validation)) == (train, validation)
    assert held(inputs, train + validation) != (train, validation)


@pytest.mark.parametrize("batch_size", [8, 11])
def test_progress_counts_the_galaxies_that_batches_hold(batch_size, inputs, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("galaxalign.logs.SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        train_shared(inputs, tmp_path, recipe(epoch_size=12, batch_size=batch_size))
    told = [line.split(",")[0] for line in caplog.messages if line.startswith("stage shared: ")]
    assert told == ["stage shared: 6 of 12 galaxies", "stage shared: 12 of 12 galaxies"]
