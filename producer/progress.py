"""Progress of a job: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from common.ledger.reports import Counts

_LINE_EVERY_S = 10.0


class ProgressDisplay:
    """Shows counts while a job runs; a context manager."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last_line = time.monotonic()
        self._started = time.monotonic()
        self._first_final: int | None = None
        self._bar: Progress | None = None
        console = Console(stderr=True)
        if not quiet and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("images", total=None, note="")

    def __enter__(self) -> ProgressDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, counts: Counts, is_recorded: bool) -> None:
        """Show the counts; while images are still recorded the total is not final."""
        if self._first_final is None:
            self._first_final = counts.final
        elapsed = time.monotonic() - self._started
        rate = (counts.final - self._first_final) / elapsed if elapsed > 0 else 0.0
        note = f"{rate:.1f}/s" + (f", {counts.failed} failed" if counts.failed else "")
        if self._bar is not None:
            total = counts.total if is_recorded else None
            self._bar.update(self._task, completed=counts.final, total=total, note=note)
        elif not self._quiet and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            total_text = str(counts.total) if is_recorded else f"at least {counts.total}"
            print(f"{counts.final} of {total_text} images, {note}", file=sys.stderr, flush=True)
