"""Training that was broken off goes on where it was, on a CPU to the very same weights."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import torch

from galaxalign.align.files import save_whole

logger = logging.getLogger(__name__)

# Seconds between two saved states within an epoch.
INTERVAL = 120.0


def fingerprint(**made_by: Any) -> str:
    """Twelve digits of all that decides the course of a stage: recipe, code, and the files it reads."""
    plain = json.dumps(made_by, sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


class StateFile:
    """The state of a stage in a file beside its output; whoever asks with another fingerprint gets none.

    Whether weights are good, the loss of the next step tells: until then a new state stands beside the last good one.
    """

    def __init__(self, path: Path, mark: str) -> None:
        self.path, self.mark = path, mark
        self._new = path.with_name(f"{path.name}.new")

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What `save` kept last; None where there is none that fits."""
        path = self._new if self._new.exists() else self.path
        if not path.exists():
            return None
        try:
            content = torch.load(path, weights_only=True, map_location=device)
        except Exception as error:  # whatever is wrong with it, training can begin again
            logger.warning("%s cannot be read (%s): the stage begins anew", path, type(error).__name__)
            return None
        if content.get("mark") != self.mark:
            logger.warning(
                "%s is the state of another recipe, code or input: it is not used, and the stage begins anew", path
            )
            return None
        state: dict[str, Any] = content["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state, of which it is not yet known whether it is good."""
        save_whole(self._new, {"mark": self.mark, "state": state})

    def approve(self) -> None:
        """The state that was kept last is good, and takes the place of the one before."""
        if self._new.exists():
            self._new.replace(self.path)

    def reject(self) -> None:
        """It is not: the one before is the last."""
        self._new.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget all, once the output is there."""
        for path in (self._new, self.path):
            path.unlink(missing_ok=True)
