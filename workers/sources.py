"""Reads and decodes the images of a chunk."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from billiard.exceptions import SoftTimeLimitExceeded

from common.arrays import ImageBgr
from common.errors import ImageError, TransientError, UnfitError
from common.escaping import escape
from common.files import read_source
from common.images import ReducedImage, decode_reduced
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedInput, RecordedJob
from common.ledger.rows import Failure
from common.ledger.segments import Work
from common.settings import Settings
from workers.times import PartTimes

log = logging.getLogger("maskmill.worker")

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Sources:
    """Where the images of a job lie on this machine.

    Attributes:
        inputs: as recorded.
        local_roots: the root of each on this machine.
        roots: folders that every file must lie in; None for no such limit.
        read_frame: gives the frames of videos.
    """

    inputs: Mapping[int, RecordedInput]
    local_roots: Mapping[int, bytes]
    roots: tuple[bytes, ...] | None
    read_frame: Callable[[ClaimedImage], ImageBgr] | None = None

    @classmethod
    def of(cls, job: RecordedJob, settings: Settings) -> Sources:
        """The sources of a job; with `--follow-symlinks` a file may lie outside the roots."""
        inputs = {one.id: one for one in job.inputs}
        local = {one.id: settings.local_path(one.root) for one in job.inputs}
        roots = None if job.follow_symlinks else tuple(os.path.realpath(one) for one in local.values())
        return cls(inputs, local, roots)

    def path(self, image: ClaimedImage) -> bytes:
        """Absolute path of an image on this machine.

        Raises:
            ImageError: its row leads out of its root.
        """
        return os.path.join(self.local_roots[image.input_id], self._below_root(image))

    def recorded_path(self, image: ClaimedImage) -> bytes:
        """Absolute path of an image as the producer sees it; errors as with `path`."""
        return os.path.join(self.inputs[image.input_id].root, self._below_root(image))

    def _below_root(self, image: ClaimedImage) -> bytes:
        one = self.inputs[image.input_id]
        below_root = (
            image.relative_path[len(one.prefix) :].lstrip(b"/") if one.prefix else image.relative_path
        )
        check_relative(below_root)
        return below_root

    def announce(self, image: ClaimedImage) -> None:
        """Let the system read an image's file ahead, without waiting; what is wrong with it shows when it is read."""
        if image.frame_index is not None or not hasattr(os, "posix_fadvise"):
            return
        with contextlib.suppress(OSError, ValueError, ImageError):
            descriptor = os.open(self.path(image), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)

    def load(self, image: ClaimedImage, times: PartTimes) -> ImageBgr:
        """Read and decode an image.

        Raises:
            ImageError: it cannot be used; see `read_source` and `decode`.
        """
        return self.load_whole(image, times).image_bgr

    def load_whole(self, image: ClaimedImage, times: PartTimes) -> ReducedImage:
        """Read and decode an image as it is, with how its file was compressed; errors as in `load`."""
        return self.load_reduced(image, None, times)

    def load_reduced(self, image: ClaimedImage, side: int | None, times: PartTimes) -> ReducedImage:
        """Read and decode an image for detection; a large JPEG keeps a longer side of `side` at the least.

        Raises:
            ImageError: as in `load`.
        """
        if image.frame_index is not None and self.read_frame is not None:
            with times.part("decode"):
                frame = self.read_frame(image)
            return ReducedImage(frame, 1, frame.shape[1], frame.shape[0])
        with times.part("read"):
            expect = None if image.size is None or image.mtime_ns is None else (image.size, image.mtime_ns)
            data = read_source(self.path(image), roots=self.roots, expect=expect)
        with times.part("decode"):
            return decode_reduced(data, side)


_ROOM = 48 << 20


@dataclass
class KeptPictures:
    """Decoded pictures that the next stage of the same process needs: they are not read and decoded again.

    Only whole pictures are kept; those that were reduced while decoding have other pixels. What finds no
    room is decoded again.

    Attributes:
        room: bytes that are left.
    """

    room: int = _ROOM
    _pictures: dict[int, ReducedImage] = field(default_factory=dict)
    _offered: int = 0
    _offered_bytes: int = 0

    def __post_init__(self) -> None:
        self._whole_room = self.room

    def keep(self, image_id: int, picture: ReducedImage) -> None:
        """Keep a picture, if it is whole and there is room."""
        if picture.factor != 1:
            return
        self._offered += 1
        self._offered_bytes += picture.image_bgr.nbytes
        if picture.image_bgr.nbytes <= self.room:
            self.room -= picture.image_bgr.nbytes
            self._pictures[image_id] = picture

    def take(self, image_id: int) -> ReducedImage | None:
        """The picture, once; None where it was not kept."""
        picture = self._pictures.pop(image_id, None)
        if picture is not None:
            self.room += picture.image_bgr.nbytes
        return picture

    def fitting(self) -> int | None:
        """So many pictures of the mean size that was seen find room together; None where none was whole."""
        if not self._offered:
            return None
        return max(1, self._whole_room * self._offered // self._offered_bytes)


def check_relative(path: bytes) -> None:
    """Refuse a path that could lead out of the folder it is joined to: rows are not trusted.

    Raises:
        ImageError: `outside-roots`.
    """
    if path.startswith(b"/") or b".." in path.split(b"/") or b"\0" in path:
        raise ImageError("outside-roots", f"a path below the root is expected, got {escape(path)}")


def attempt(job: Work, image: ClaimedImage, work: Callable[[], _Answer]) -> _Answer | Failure:
    """Run the work on one image; what goes wrong with this image becomes its failure.

    The one place where any exception becomes a failure: one bad image must not fail its chunk.

    Raises:
        TransientError, UnfitError, SoftTimeLimitExceeded: these concern more than this image.
    """
    try:
        return work()
    except (TransientError, UnfitError, SoftTimeLimitExceeded):
        raise
    except ImageError as exc:
        failure = Failure(image.id, exc.code, str(exc))
    except MemoryError:
        failure = Failure(image.id, "out-of-memory", "there was too little memory for this image")
    except Exception as exc:
        log.exception("job %s image %s: unexpected error", job.name, image.id)
        failure = Failure(image.id, "unexpected", f"{type(exc).__name__}: {exc}")
    log.warning(
        "job %s image %d %s: %s: %s",
        job.name,
        image.id,
        escape(image.relative_path),
        failure.code,
        failure.message,
    )
    return failure
