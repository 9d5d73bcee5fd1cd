"""Enumeration: every image below the inputs, lazily, in sorted order, with its stem."""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

from common.escaping import escape
from common.stems import is_image_name
from producer.inputs import Input, inside
from producer.lists import ListIndex
from producer.names import NamesAgain, sorted_names
from producer.videos import FoundFrame, Videos, frame_of, is_video_name

log = logging.getLogger("maskmill.scan")

_One = TypeVar("_One")


@dataclass(slots=True)
class Skips:
    """What enumeration left out, counted by cause."""

    linked_folders: int = 0
    outside_links: int = 0
    unreadable_folders: list[bytes] = field(default_factory=list)
    videos: int = 0
    found: int = 0
    """Every image met, also those that the command leaves out."""
    left_out: int = 0
    """Of these, how many `--every-n`, `--skip-list` and `--skip-existing` leave out."""

    def tell(self) -> None:
        """Log what was left out."""
        if self.linked_folders or self.outside_links:
            log.warning(
                "left out: %d linked folders, %d links that leave the input (read with --follow-symlinks)",
                self.linked_folders,
                self.outside_links,
            )
        if self.videos:
            log.warning("left out: %d videos inside folders; give each as an --input of its own", self.videos)
        for folder in self.unreadable_folders:
            log.warning("the folder %s may not be read and is left out", escape(folder))


class Found(NamedTuple):
    """One image met by the enumeration.

    Attributes:
        position: index of its input.
        relative: path under the output, prefix included, POSIX bytes.
        size: bytes, or None where it could not be asked.
        mtime_ns: time of last change, or None likewise.
        written: a file, or the line of a list, as written; None for what was met in a folder.
        frame: which frame of a video it is; None for a picture.
    """

    position: int
    relative: bytes
    size: int | None
    mtime_ns: int | None
    written: bytes | None = None
    frame: FoundFrame | None = None


class Scanner:
    """Walks the inputs of one job.

    Args:
        inputs: in the order given.
        output: real path of the output folder, which is left out.
        follow_symlinks: read linked folders, and links that leave the roots.
        videos: the indices of the videos among the inputs, and of those to come.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        output: bytes,
        *,
        follow_symlinks: bool = False,
        videos: Videos | None = None,
    ) -> None:
        self.inputs = inputs
        self.videos = videos or Videos()
        self._output = output
        self._follow = follow_symlinks
        self._roots = [one.root for one in inputs]
        self._indices: dict[Input, ListIndex] = {}
        self.skips = Skips()

    def relative_paths_meet(self) -> bool:
        """Two inputs with different roots have an image at the same relative path."""
        if len({one.root for one in self.inputs}) < 2:
            return False
        previous: tuple[bytes, bytes] = (b"", b"")
        for path, root in heapq.merge(*(self._rooted_paths(one) for one in self.inputs)):
            if path == previous[0] and root != previous[1]:
                return True
            previous = (path, root)
        return False

    def images(self) -> Iterator[Found]:
        """Every image of every input, input after input, each in the order of its relative path."""
        self.skips = Skips()
        for position, one in enumerate(self.inputs):
            # Joined by hand: with a million files each call counts.
            root, prefix = os.path.join(one.root, b""), one.place(b"")
            may_be_frame = one.kind in ("video", "list")
            for path, written in self._paths(one):
                absolute = root + path
                frame = self._frame(absolute) if may_be_frame else None
                size, mtime_ns = _size_and_mtime(absolute if frame is None else frame.video)
                self.skips.found += 1
                yield Found(position, prefix + path, size, mtime_ns, written, frame)

    def names_in(self, folder: bytes) -> Iterable[bytes]:
        """Names of all images that lie, in any input, in one folder of the output; each once."""
        if len(self.inputs) == 1 and self.inputs[0].kind == "directory":
            return NamesAgain(lambda: self._image_names(self.inputs[0], folder))
        return {name for one in self.inputs for name in self._image_names(one, folder)}

    def _frame(self, absolute: bytes) -> FoundFrame | None:
        """The frame that a path stands for, if it is no file of its own."""
        place = frame_of(absolute)
        return self.videos.found(*place) if place is not None and os.path.isfile(place[0]) else None

    def _rooted_paths(self, one: Input) -> Iterator[tuple[bytes, bytes]]:
        return ((path, one.root) for path, _ in self._paths(one))

    def _paths(self, one: Input) -> Iterator[tuple[bytes, bytes | None]]:
        """(path relative to the root, as the user wrote it) in sorted order, each once."""
        if one.kind == "file":
            yield from self._given(one, [(os.path.basename(one.given), one.given)])
        elif one.kind == "list":
            yield from self._given(one, self._index_of(one).entries())
        elif one.kind == "video":
            yield from ((name, None) for name in self.videos.names(one.root))
        else:
            visited: set[tuple[int, int]] = set()
            yield from ((path, None) for path in self._walk(one.root, b"", visited))

    def _given(self, one: Input, entries: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """What was named by hand, without links that leave the input."""
        for path, written in entries:
            whole = os.path.join(one.root, path)
            if self._follow or not os.path.islink(whole) or self._stays_inside(whole):
                yield path, written
            else:
                self.skips.outside_links += 1

    def _stays_inside(self, link: bytes) -> bool:
        target = os.path.realpath(link)
        return any(inside(target, root) for root in self._roots)

    def _index_of(self, one: Input) -> ListIndex:
        if one not in self._indices:
            self._indices[one] = ListIndex(one.given, one.root)
        return self._indices[one]

    def _walk(self, root: bytes, folder: bytes, visited: set[tuple[int, int]]) -> Iterator[bytes]:
        """Paths below one folder, sorted."""
        if self._follow:
            status = os.stat(os.path.join(root, folder))
            if (status.st_dev, status.st_ino) in visited:
                return
            visited.add((status.st_dev, status.st_ino))
        # A folder sorts as its name with the slash behind it: then the walk meets paths in sorted order.
        above = os.path.join(folder, b"")
        for entry in sorted_names(self._listing(os.path.join(root, folder))):
            path = above + entry
            if not entry.endswith(b"/"):
                yield path
                continue
            yield from self._walk(root, path[:-1], visited)

    def _listing(self, folder: bytes) -> Iterator[bytes]:
        """Names of images, and of sub-folders with a slash behind; what is left out is counted."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    if entry.is_symlink():
                        yield from self._sort_link(entry)
                    elif entry.is_dir(follow_symlinks=False):
                        if is_image_name(entry.name) and _is_empty(entry.path):
                            yield entry.name
                        elif not self._is_output(entry.path):
                            yield entry.name + b"/"
                    elif is_image_name(entry.name):
                        yield entry.name
                    elif is_video_name(entry.name):
                        self.skips.videos += 1
        except OSError:
            self.skips.unreadable_folders.append(folder)

    def _sort_link(self, entry: os.DirEntry[bytes]) -> Iterator[bytes]:
        if _links_to_a_folder(entry):
            if self._follow and not self._is_output(entry.path):
                yield entry.name + b"/"
            elif not self._follow:
                self.skips.linked_folders += 1
        elif is_image_name(entry.name):
            if self._follow or self._stays_inside(entry.path):
                yield entry.name
            else:
                self.skips.outside_links += 1

    def _image_names(self, one: Input, folder: bytes) -> Iterator[bytes]:
        """Names of the images of one input in a folder of the output; a few too many do no harm."""
        below = folder[len(one.prefix) :].strip(b"/")
        if not inside(b"/" + folder, b"/" + one.prefix):
            return
        if one.kind == "file":
            if not below:
                yield os.path.basename(one.given)
        elif one.kind == "list":
            yield from self._index_of(one).names_in(below)
        elif one.kind == "video":
            if not below:
                yield from self.videos.names(one.root)
        else:
            with contextlib.suppress(OSError), os.scandir(os.path.join(one.root, below)) as entries:
                yield from (entry.name for entry in entries if is_image_name(entry.name))

    def _is_output(self, folder: bytes) -> bool:
        # The name is compared first: resolving every folder would cost a call each.
        return os.path.basename(folder) == os.path.basename(self._output) and (
            os.path.realpath(folder) == self._output
        )


def batches(images: Iterable[_One], size: int) -> Iterator[list[_One]]:
    """The images in lists of `size`, the last one shorter."""
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch


def keep_every(scanner: Scanner, every_n: int, skip: Callable[[int], bool]) -> Iterator[Found]:
    """The images whose 0-based index is a multiple of `every_n` and is not skipped; the others are counted."""
    for index, image in enumerate(scanner.images()):
        if index % every_n == 0 and not skip(index):
            yield image
        else:
            scanner.skips.left_out += 1


def _size_and_mtime(path: bytes) -> tuple[int | None, int | None]:
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def _links_to_a_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_empty(folder: bytes) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False
