"""Answers of web servers: opened in one way, and told apart by whether asking again may help."""

import contextlib
import email.utils
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus

USER_AGENT = "GalaxAlign (galaxy morphology; Python urllib)"
SECONDS_OF_SILENCE = 60
# The longest that a server may ask to be left alone, seconds.
LONGEST_WAIT = 600.0
# Answers that may be others a little later.
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Passing(Exception):
    """A transfer that may go better a little later.

    Attributes
    ----------
    wait : seconds that the server asks to be left alone, 0 where it does not say.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(reason)


class Refused(Exception):
    """An answer that stays what it is, however often one asks.

    Attributes
    ----------
    status : of the HTTP answer.
    """

    def __init__(self, reason: str, status: int = 200) -> None:
        self.status = status
        super().__init__(reason)


@contextlib.contextmanager
def answer(url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request, whose body is read inside the context.

    Raises
    ------
    Passing
        No connection, silence, a body that breaks off with an error, 408, 425, 429, or any 5xx.
    Refused
        Any other status of 400 and above, or a way on to an address that is none.
    """
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, **headers})
    try:
        with _open(request) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            said = _first_words(error)
        reason = f"the server answers {error.code}{f' ({said})' if said else ''}"
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in PASSING:
            raise Passing(reason, seconds_to_wait(error.headers.get("Retry-After"), time.time())) from error
        raise Refused(reason, error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise Passing(str(error) or type(error).__name__) from error


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS_OF_SILENCE)
    except ValueError as error:
        raise Refused(f"the server names an address that is none ({error})") from error
    return response


def _first_words(error: urllib.error.HTTPError) -> str:
    try:
        # What is there: nobody waits for a page that drips.
        return first_words(error.read1(2000))
    except (OSError, http.client.HTTPException):
        return ""


def first_words(body: bytes) -> str:
    """What a page says first, without its tags and scripts, at most 80 characters."""
    text = body[:2000].decode("utf-8", errors="replace")
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", " ", text)
    words = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "." for letter in words[:80])


def seconds_to_wait(text: str | None, now: float) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date; 0 where it says neither.

    >>> seconds_to_wait("7", 0.0)
    7.0
    >>> seconds_to_wait("Thu, 01 Jan 1970 00:01:00 GMT", 10.0)
    50.0
    """
    if text is None:
        return 0.0
    if text.strip().isdecimal():
        return min(LONGEST_WAIT, float(text))
    try:
        then = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(LONGEST_WAIT, max(0.0, then - now))
