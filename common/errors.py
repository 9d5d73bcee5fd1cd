"""Every error that maskmill raises on purpose, in one tree.

::

    MaskmillError
    ├── UsageError       the command asks for something impossible          exit 2
    ├── UnfitError       a model, broker or database is missing or unfit    exit 3
    ├── TransientError   the world is away for a while (disk, database): wait and go on
    ├── ImageError       this one image cannot be used: becomes a `failed` row
    ├── UnsavedError     files that a background saver could not write; has their errors
    └── UndrawableFace   this one face is left without a mask: becomes a row with the reason
"""

from __future__ import annotations

from typing import Literal

ImageErrorCode = Literal[
    "changed",
    "empty",
    "forbidden",
    "io-error",
    "killed-worker",
    "not-a-file",
    "out-of-memory",
    "outside-roots",
    "too-large",
    "truncated",
    "undecodable",
    "unexpected",
    "unreadable",
    "vanished",
]


class MaskmillError(Exception):
    """Base of all errors with a message meant for the user."""


class UsageError(MaskmillError):
    """The command line or an option asks for something impossible; exit code 2."""


class UnfitError(MaskmillError):
    """A model, broker or database is missing or unfit; exit code 3.

    The message names it and the command that mends it.
    """


class TransientError(MaskmillError):
    """Something outside is away for a while; the work waits and is never failed for it."""


class ImageError(MaskmillError):
    """One image that cannot be used; permanent.

    Attributes:
        code: a short, stable cause, one of `ImageErrorCode`.
    """

    def __init__(self, code: ImageErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ImageError], tuple[ImageErrorCode, str]]:
        return (type(self), (self.code, str(self)))


class UnsavedError(MaskmillError):
    """Files that could not be saved in the background.

    Attributes:
        failures: (path, error) of each.
    """

    def __init__(self, message: str, failures: tuple[tuple[bytes, MaskmillError], ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures

    def __reduce__(self) -> tuple[type[UnsavedError], tuple[str, tuple[tuple[bytes, MaskmillError], ...]]]:
        return (type(self), (str(self), self.failures))


class UndrawableFace(MaskmillError):
    """One face that cannot be drawn well; it is left alone, with this reason in its row.

    Attributes:
        reason: short and stable, such as `too-small` or `landmarks-unsure`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[UndrawableFace], tuple[str, str]]:
        return (type(self), (self.reason, str(self)))
