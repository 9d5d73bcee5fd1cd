"""Reading input files, writing output files, and names as text."""

# Paths are bytes, which pathlib refuses.

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import temporaries
from common.errors import ImageError, TransientError
from common.escaping import escape, unescape
from common.files import AtomicWriter, Durability, read_source, sweep_temporaries, write_atomically
from tests.bad_images import CORPUS, write_corpus

NOBODY = 65534
NOT_FILES = ["directory", "pipe", "dangling link", "loop of links", "no byte"]


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    return os.path.realpath(os.fsencode(tmp_path))


def names(folder: bytes) -> set[bytes]:
    return set(os.listdir(folder))


def code_of(path: bytes, **options: object) -> str:
    with pytest.raises(ImageError) as caught:
        read_source(path, **{"roots": None, **options})  # type: ignore[arg-type]
    return caught.value.code


# --- names as text ------------------------------------------------------------------------------------


@given(st.binary())
def test_every_name_comes_back_from_its_text(path: bytes) -> None:
    text = escape(path)
    assert unescape(text) == path
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(char) == "Cc" for char in text)
    text.encode("utf-8")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\")))
def test_text_without_a_backslash_is_a_name_as_it_is(text: str) -> None:
    assert unescape(text) == text.encode()


@given(st.text())
def test_any_text_can_be_unescaped(text: str) -> None:
    assert unescape(escape(unescape(text))) == unescape(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"", ""),
        (b"plain name.jpg", "plain name.jpg"),
        ("h\u00e9llo \N{GRINNING FACE}.jpg".encode(), "h\u00e9llo \N{GRINNING FACE}.jpg"),
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (b"a\nb\tc\x00\x7f", r"a\x0ab\x09c\x00\x7f"),
        (b"back\\slash", r"back\\slash"),
        (b"looks\\x41like", r"looks\\x41like"),
        ("\u0085\u2028".encode(), r"\xc2\x85\xe2\x80\xa8"),
        ("\ud800".encode("utf-8", "surrogatepass"), r"\xed\xa0\x80"),
    ],
)
def test_names_are_escaped_by_hand_calculated_examples(path: bytes, text: str) -> None:
    assert escape(path) == text
    assert unescape(text) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (r"C:\pictures\a.jpg", rb"C:\pictures\a.jpg"),
        (r"\xE9\xZZ\x4", b"\xe9\\xZZ\\x4"),
        ("end\\", b"end\\"),
        ("undecodable \udce9", b"undecodable \xe9"),
    ],
)
def test_an_unknown_escape_is_a_backslash(text: str, path: bytes) -> None:
    assert unescape(text) == path


# --- reading ------------------------------------------------------------------------------------------


def test_every_file_of_the_corpus_is_read_or_named(folder: bytes) -> None:
    for name, path in write_corpus(folder).items():
        expected = CORPUS[name].code
        if name in NOT_FILES:
            assert code_of(path, roots=[folder]) == expected, name
        elif expected != "forbidden":
            assert len(read_source(path, roots=[folder])) == os.stat(path).st_size, name


def test_a_file_without_permission_is_forbidden() -> None:
    with dropped_privileges() as folder:
        path = folder + b"/secret.jpg"
        write_atomically(path, [b"x"])
        os.chmod(path, 0)
        assert code_of(path) == "forbidden"


def test_a_socket_is_not_a_file(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.fsdecode(folder))  # a socket's whole path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b"socket.jpg")
        assert code_of(folder + b"/socket.jpg") == "not-a-file"


def test_a_device_is_not_a_file() -> None:
    assert code_of(os.fsencode(os.devnull)) == "not-a-file"


@pytest.mark.parametrize(
    "name", [b"missing.jpg", b"a/b.jpg", b"nul\0byte.jpg", b"n" * 300, b"file/inside.jpg"]
)
def test_a_name_that_does_not_exist_has_vanished(folder: bytes, name: bytes) -> None:
    write_atomically(folder + b"/file", [b"x"])
    assert code_of(folder + b"/" + name) == "vanished"
    assert code_of(folder + b"/" + name, roots=[folder]) == "vanished"


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_is_an_io_error(folder: bytes, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fail)
    assert code_of(folder + b"/a.jpg") == "io-error"


def test_too_many_open_files_are_not_the_fault_of_an_image(folder: bytes) -> None:
    write_atomically(folder + b"/a.jpg", [b"x"])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(TransientError, match="Too many open files"):
            read_source(folder + b"/a.jpg", roots=None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_over_the_limit_is_too_large_and_not_read(folder: bytes) -> None:
    path = folder + b"/sparse.tif"
    with open(path, "wb") as stream:
        stream.truncate((1 << 30) + 1)
    assert code_of(path) == "too-large"


def test_a_file_that_differs_from_the_plan_has_changed(folder: bytes) -> None:
    path = folder + b"/a.jpg"
    write_atomically(path, [b"four"])
    plan = (4, os.stat(path).st_mtime_ns)
    assert read_source(path, roots=None, expect=plan) == b"four"
    assert code_of(path, expect=(5, plan[1])) == "changed"
    assert code_of(path, expect=(4, plan[1] + 1)) == "changed"
    os.truncate(path, 0)
    assert code_of(path, expect=plan) == "changed"


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_that_changes_size_while_it_is_read_has_changed(
    folder: bytes, monkeypatch: pytest.MonkeyPatch, difference: int
) -> None:
    path = folder + b"/a.jpg"
    write_atomically(path, [b"four"])
    real_fstat = os.fstat

    def fstat_then_change(descriptor: int) -> os.stat_result:
        status = real_fstat(descriptor)
        os.truncate(path, 4 + difference)
        return status

    monkeypatch.setattr(os, "fstat", fstat_then_change)
    assert code_of(path) == "changed"


def test_links_are_read_inside_the_roots_and_refused_outside(folder: bytes) -> None:
    inside, outside = folder + b"/in", folder + b"/out"
    write_atomically(inside + b"/a.jpg", [b"a"])
    write_atomically(outside + b"/b.jpg", [b"b"])
    write_atomically(folder + b"/in2/c.jpg", [b"c"])
    os.symlink(b"a.jpg", inside + b"/link.jpg")
    os.symlink(b"../out/b.jpg", inside + b"/leaves.jpg")
    os.symlink(b"../out", inside + b"/folder")
    assert read_source(inside + b"/link.jpg", roots=[inside]) == b"a"
    assert code_of(inside + b"/leaves.jpg", roots=[inside]) == "outside-roots"
    assert code_of(inside + b"/folder/b.jpg", roots=[inside]) == "outside-roots"
    assert code_of(inside + b"/../out/b.jpg", roots=[inside]) == "outside-roots"
    assert code_of(folder + b"/in2/c.jpg", roots=[inside]) == "outside-roots"
    assert code_of(os.fsencode(os.devnull), roots=[inside]) == "outside-roots"
    assert code_of(inside + b"/a.jpg", roots=[]) == "outside-roots"
    assert read_source(inside + b"/leaves.jpg", roots=[inside, outside]) == b"b"
    assert read_source(inside + b"/leaves.jpg", roots=[b"/"]) == b"b"
    assert read_source(inside + b"/leaves.jpg", roots=None) == b"b"


def test_odd_names_are_escaped_in_messages(folder: bytes) -> None:
    with pytest.raises(ImageError, match=r"caf\\xe9\\x0a\.jpg"):
        read_source(folder + b"/caf\xe9\n.jpg", roots=None)


def test_a_file_longer_than_one_read_comes_whole(folder: bytes) -> None:
    data = os.urandom(3_000_001)
    write_atomically(folder + b"/big", [data[:1000], data[1000:]])
    assert read_source(folder + b"/big", roots=[folder]) == data


# --- writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["none", "chunk", "file"])
def test_staged_files_appear_at_commit_and_not_before(folder: bytes, durability: Durability) -> None:
    finals = [folder + b"/a.png", folder + b"/deep/er/b\xff.png"]
    with AtomicWriter(durability) as writer:
        for final in finals:
            writer.stage(final, b"data of " + final)
            assert not os.path.exists(final)
        assert writer.commit() == finals
    for final in finals:
        assert Path(os.fsdecode(final)).read_bytes() == b"data of " + final
    assert names(folder) == {b"a.png", b"deep"}
    assert names(folder + b"/deep/er") == {b"b\xff.png"}


def test_nothing_stays_of_a_writer_that_fails(folder: bytes) -> None:
    with contextlib.suppress(KeyError), AtomicWriter() as writer:
        writer.stage(folder + b"/a", b"a")
        raise KeyError
    assert names(folder) == set()


def test_nothing_stays_of_what_was_never_committed(folder: bytes) -> None:
    with AtomicWriter() as writer:
        writer.stage(folder + b"/a", b"a")
    assert names(folder) == set()


def test_an_image_that_fails_takes_only_its_own_files_with_it(folder: bytes) -> None:
    with AtomicWriter() as writer:
        for image in (b"one", b"two", b"three"):
            with contextlib.suppress(KeyError), writer.group():
                writer.stage(folder + b"/" + image + b"_aug0.jpg", b"x")
                if image == b"two":
                    raise KeyError
                writer.stage(folder + b"/" + image + b"_aug1.jpg", b"x")
        writer.commit()
    assert names(folder) == {b"one_aug0.jpg", b"one_aug1.jpg", b"three_aug0.jpg", b"three_aug1.jpg"}


def test_a_writer_can_commit_again_and_replace(folder: bytes) -> None:
    with AtomicWriter() as writer:
        for data in (b"old", b"new"):
            writer.stage(folder + b"/a", data)
            writer.commit()
        assert writer.commit() == []
    assert Path(os.fsdecode(folder), "a").read_bytes() == b"new"


def test_temporaries_are_hidden_ours_and_carry_the_name(folder: bytes) -> None:
    with AtomicWriter() as writer:
        writer.stage(folder + b"/face.jpg", b"x")
        (temporary,) = names(folder)
        assert temporary.startswith(b".face.jpg.")
        assert temporary.endswith(b".maskmill.tmp")


def test_a_name_may_have_255_bytes_and_no_more(folder: bytes) -> None:
    with AtomicWriter() as writer:
        writer.stage(folder + b"/" + b"n" * 255, b"x")
        with pytest.raises(ImageError, match="got 256") as caught:
            writer.stage(folder + b"/" + b"n" * 256, b"x")
        assert caught.value.code == "io-error"
        writer.commit()
    assert names(folder) == {b"n" * 255}


def test_a_path_longer_than_the_system_allows_is_an_io_error(folder: bytes) -> None:
    with AtomicWriter() as writer, pytest.raises(ImageError) as caught:
        writer.stage(folder + b"/d" * 2500 + b"/a.jpg", b"x")
    assert caught.value.code == "io-error"


def test_a_directory_where_a_file_should_go_is_an_io_error(folder: bytes) -> None:
    os.mkdir(folder + b"/a.jpg")
    write_atomically(folder + b"/file", [b"x"])
    with AtomicWriter() as writer:
        for final in (b"/a.jpg", b"/file/b.jpg"):
            with pytest.raises(ImageError) as caught:
                writer.stage(folder + final, b"x")
            assert caught.value.code == "io-error"
    assert names(folder) == {b"a.jpg", b"file"}


def test_files_get_the_mode_of_the_umask(folder: bytes) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(folder + b"/a", [b"x"])
        with AtomicWriter() as writer:
            writer.stage(folder + b"/b", b"x")
            writer.commit()
    finally:
        os.umask(before)
    for name in (b"/a", b"/b"):
        assert stat.S_IMODE(os.stat(folder + name).st_mode) == 0o640


def test_a_link_at_the_final_name_is_replaced_and_not_followed(folder: bytes) -> None:
    write_atomically(folder + b"/precious", [b"precious"])
    os.symlink(b"precious", folder + b"/a.jpg")
    with AtomicWriter() as writer:
        writer.stage(folder + b"/a.jpg", b"new")
        writer.commit()
    assert Path(os.fsdecode(folder), "precious").read_bytes() == b"precious"
    assert not os.path.islink(folder + b"/a.jpg")


def test_short_writes_are_continued(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, bytes(data)[:7]))
    data = bytes(range(256)) * 3
    write_atomically(folder + b"/a", [data])
    monkeypatch.undo()
    assert read_source(folder + b"/a", roots=None) == data


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_disk_is_transient_and_leaves_nothing(
    folder: bytes, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real_write = os.write
    written: list[int] = []

    def write_a_little_then_fail(descriptor: int, data: memoryview) -> int:
        if written:
            raise OSError(code, os.strerror(code))
        written.append(real_write(descriptor, bytes(data)[:3]))
        return written[0]

    monkeypatch.setattr(os, "write", write_a_little_then_fail)
    with AtomicWriter() as writer, pytest.raises(TransientError, match=r"a\.jpg.*: "):
        writer.stage(folder + b"/a.jpg", b"0123456789")
    assert names(folder) == set()


def test_a_real_limit_on_file_size_leaves_no_half_file(folder: bytes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with AtomicWriter() as writer, pytest.raises((ImageError, TransientError)):
            writer.stage(folder + b"/a.jpg", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == set()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_commit_that_fails_is_transient_and_leaves_no_temporaries(
    folder: bytes, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with AtomicWriter() as writer:
        writer.stage(folder + b"/a.jpg", b"x")
        writer.stage(folder + b"/b.jpg", b"x")
        monkeypatch.setattr(os, call, fail)
        with pytest.raises(TransientError, match="No space left"):
            writer.commit()
        monkeypatch.undo()
    assert not any(temporaries.is_temporary(name) for name in names(folder))


def test_a_chunk_is_synced_once_for_each_file_system(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    monkeypatch.setattr(temporaries, "_find_syncfs", lambda: calls.append)
    with AtomicWriter("chunk") as writer:
        for index in range(5):
            writer.stage(folder + b"/%d" % index, b"x")
        writer.commit()
    assert len(calls) == 1


@pytest.mark.parametrize(("durability", "begun"), [("none", 0), ("chunk", 1), ("file", 0)])
def test_large_files_begin_to_go_to_the_disk_at_once(
    folder: bytes, monkeypatch: pytest.MonkeyPatch, durability: Durability, begun: int
) -> None:
    calls: list[tuple[int, ...]] = []
    monkeypatch.setattr(temporaries, "_find_sync_file_range", lambda: lambda *given: calls.append(given))
    with AtomicWriter(durability) as writer:
        writer.stage(folder + b"/small.jpg", b"x" * 1000)
        writer.stage(folder + b"/large.png", b"x" * (1 << 17))
        writer.commit()
    assert len(calls) == begun


def test_a_file_that_is_on_its_way_to_the_disk_is_whole(folder: bytes) -> None:
    data = os.urandom(300_000)
    with AtomicWriter("chunk") as writer:
        writer.stage(folder + b"/large.png", data)
        writer.commit()
    with open(folder + b"/large.png", "rb") as stream:
        assert stream.read() == data


def test_without_syncfs_every_file_is_synced(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(temporaries, "_find_syncfs", lambda: None)
    monkeypatch.setattr(temporaries, "sync_path", synced.append)
    with AtomicWriter("chunk") as writer:
        for index in range(3):
            writer.stage(folder + b"/%d" % index, b"x")
        writer.commit()
    assert len(synced) == 4
    assert synced[-1] == folder


def test_an_output_folder_without_permission_is_named() -> None:
    with dropped_privileges() as folder:
        os.chmod(folder, 0o500)
        with AtomicWriter() as writer, pytest.raises(ImageError) as caught:
            writer.stage(folder + b"/a.jpg", b"x")
        os.chmod(folder, 0o700)
    assert caught.value.code == "forbidden"


def test_an_atomic_write_that_fails_keeps_the_old_file(folder: bytes) -> None:
    path = folder + b"/logs.csv"

    def rows() -> Iterator[bytes]:
        yield b"half a new line"
        raise KeyError

    write_atomically(path, [b"old\n"])
    with pytest.raises(KeyError):
        write_atomically(path, rows())
    assert read_source(path, roots=None) == b"old\n"
    assert names(folder) == {b"logs.csv"}


def test_an_atomic_write_of_nothing_makes_an_empty_file(folder: bytes) -> None:
    write_atomically(folder + b"/sub/empty.csv", [])
    assert os.stat(folder + b"/sub/empty.csv").st_size == 0


def test_an_atomic_write_works_in_the_current_folder(folder: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.fsdecode(folder))
    write_atomically(b"relative.csv", [b"x"])
    assert names(folder) == {b"relative.csv"}


# --- sweeping -----------------------------------------------------------------------------------------


def test_a_sweep_deletes_our_old_temporaries_and_nothing_else(folder: bytes) -> None:
    old = time.time() - 1000
    random = b"0123456789abcdef"
    ours = [b"/.a.jpg." + random + b".maskmill.tmp", b"/sub/deep/.b\n\xff." + random + b".maskmill.tmp"]
    foreign = [b"/.a.tmp", b"/a.jpg", b"/x.maskmill.tmp", b"/.a." + random + b".tmp", b"/.a.12.maskmill.tmp"]
    for name in ours + foreign:
        write_atomically(folder + name, [b"x"])
        os.utime(folder + name, (old, old))
    young = folder + b"/.young." + random + b".maskmill.tmp"
    write_atomically(young, [b"x"])
    assert sweep_temporaries(folder, 500) == 2
    assert all(os.path.exists(folder + name) for name in foreign)
    assert not any(os.path.exists(folder + name) for name in ours)
    assert os.path.exists(young)


def test_a_sweep_does_not_follow_links(folder: bytes) -> None:
    name = b"/.a.0123456789abcdef.maskmill.tmp"
    write_atomically(folder + b"/elsewhere" + name, [b"x"])
    os.mkdir(folder + b"/output")
    os.symlink(b"../elsewhere", folder + b"/output/link")
    os.symlink(b".." + b"/elsewhere" + name, folder + b"/output" + name)
    assert sweep_temporaries(folder + b"/output", -10) == 0
    assert os.path.exists(folder + b"/elsewhere" + name)


def test_a_sweep_of_a_missing_folder_finds_nothing(folder: bytes) -> None:
    assert sweep_temporaries(folder + b"/missing", 0) == 0


def test_a_sweep_finds_what_a_killed_writer_left(folder: bytes) -> None:
    killed = (
        "import os, signal, sys; from common.files import AtomicWriter; "
        "AtomicWriter().stage(os.fsencode(sys.argv[1]), b'x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", killed, folder + b"/" + b"n" * 255], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names(folder)) == 1
    assert sweep_temporaries(folder, -10) == 1
    assert names(folder) == set()


@contextlib.contextmanager
def dropped_privileges() -> Iterator[bytes]:
    """Make a folder and enter it as a user for whom file modes count (root ignores them)."""
    with tempfile.TemporaryDirectory() as name:
        folder = os.path.realpath(os.fsencode(name))
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            if not os.access(folder, os.W_OK, effective_ids=True):
                pytest.skip("the folder for temporary files is closed to other users")
            yield folder
        finally:
            os.seteuid(0)
