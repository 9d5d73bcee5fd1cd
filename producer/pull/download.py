"""Fetches one file over HTTP so that whatever has come already is kept: by the next attempt, and the next run."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

log = logging.getLogger("maskmill.models")

_TRY_AGAIN = {408, 425, 429}
"""Statuses below 500 that say "later" (RFC 9110, RFC 6585, RFC 8470)."""

OnProgress = Callable[[int, int | None], None]
"""Told bytes that are there, and bytes in all where that is known."""


@dataclass(frozen=True)
class Patience:
    """How long a server is borne with; the figures are those of the specification."""

    attempts: int = 6
    timeout_s: float = 10.0
    first_wait_s: float = 1.0


class Refused(Exception):
    """The server will not give the file, however often it is asked."""


class Broken(Exception):
    """The connection, the server or the answer failed; another attempt may succeed."""


def download(
    address: str,
    part: Path,
    on_progress: OnProgress,
    patience: Patience,
    *,
    size: int | None = None,
) -> bool:
    """Complete the file `part`, which may hold the beginning of an earlier call.

    Args:
        size: bytes of the whole file, where known.

    Returns:
        Whether anything of an earlier call was kept: then what is wrong may come from there.

    Raises:
        Refused, Broken: it is not complete after the last attempt; `part` keeps what has come.
        OSError: it cannot be written.
    """
    found = part.stat().st_size if part.exists() else 0
    if size is not None and found >= size:
        return True
    kept = found > 0

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0.0
        log.warning(
            "%s; attempt %d of %d in %.1f s", error, state.attempt_number + 1, patience.attempts, wait_s
        )

    timeout = httpx.Timeout(patience.timeout_s)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        for attempt in Retrying(
            stop=stop_after_attempt(patience.attempts),
            wait=wait_exponential(patience.first_wait_s) + wait_random(0, patience.first_wait_s),
            retry=retry_if_exception_type(Broken),
            before_sleep=note,
            reraise=True,
        ):
            with attempt:
                how = _attempt(client, address, part, on_progress, size)
                kept = kept and how != "anew"
    return kept


def _attempt(
    client: httpx.Client, address: str, part: Path, on_progress: OnProgress, size: int | None
) -> Literal["complete", "continued", "anew"]:
    """Ask once for what is missing."""
    have = part.stat().st_size if part.exists() else 0
    # As it is, not compressed on the way: positions must be those of the file.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with client.stream("GET", address, headers=headers) as answer:
            if answer.status_code == 416 and have:
                total = _total(answer, r"bytes \*/(\d+)")
                if total is None or total == have:
                    return "complete"
                os.truncate(part, 0)
                raise Broken(f"the server has {total} bytes, {have} were here: starting over")
            if answer.status_code == 206 and have:
                total = _total(answer, rf"bytes {have}-\d+/(\d+|\*)")
                if total is None or (size is not None and total not in (0, size)):
                    os.truncate(part, 0)
                    raise Broken(
                        f"the server answers the range {have}- with "
                        f"{answer.headers.get('Content-Range', 'no Content-Range')!r}: starting over"
                    )
                _append(answer, part, have, total or size, on_progress)
                return "continued"
            if answer.status_code == 200:
                told = answer.headers.get("Content-Length", "")
                total = int(told) if told.isdigit() else size
                if size is not None and total != size:
                    raise Refused(f"the server has another file: {total} bytes, expected {size}")
                _append(answer, part, 0, total, on_progress)
                return "anew"
            reason = f"the server answers {answer.status_code} {answer.reason_phrase}"
            if answer.status_code >= 500 or answer.status_code in _TRY_AGAIN:
                raise Broken(reason)
            raise Refused(reason)
    except httpx.UnsupportedProtocol as exc:
        raise Refused(str(exc)) from exc
    except httpx.TransportError as exc:
        raise Broken(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__) from exc
    except (httpx.InvalidURL, httpx.RequestError) as exc:
        raise Refused(f"{type(exc).__name__}: {exc}") from exc


def _total(answer: httpx.Response, pattern: str) -> int | None:
    """The length of the whole file in a fitting Content-Range, 0 where it is unknown; None if it does not fit."""
    fits = re.fullmatch(pattern, answer.headers.get("Content-Range", "").strip())
    return None if fits is None else int(fits[1].replace("*", "0"))


def _append(
    answer: httpx.Response, part: Path, start: int, total: int | None, on_progress: OnProgress
) -> None:
    """Write the body from `start` on, and what comes at once: a process that is killed keeps it."""
    with part.open("ab", buffering=0) as stream:
        if stream.tell() != start:
            stream.truncate(start)
        have = start
        for piece in answer.iter_raw():
            have += len(piece)
            if total is not None and have > total:
                os.truncate(part, 0)
                raise Broken(f"more than the {total} bytes announced came: starting over")
            view = memoryview(piece)
            while view:
                view = view[stream.write(view) :]
            on_progress(have, total)
    if total is not None and have < total:
        raise Broken(f"{have} of {total} bytes came")
