"""A pace that many threads keep together."""

import threading
import time


class Pace:
    """Turns that come no faster than a rate, whoever takes them."""

    def __init__(self, rate: float) -> None:
        """Start at once, with at most `rate` turns a second."""
        self._gap, self._next = 1 / rate, 0.0
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def wait(self) -> bool:
        """Wait for the next turn; False once stopped."""
        while not self._stopped.is_set():
            with self._lock:
                left = self._next - time.monotonic()
                if left <= 0:
                    self._next = time.monotonic() + self._gap
                    return True
            self.sleep(left)
        return False

    def hold(self, seconds: float) -> None:
        """No turn for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep, or until stopped."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """No more turns."""
        self._stopped.set()
