"""`models pull` against a server of this machine that does what bad servers do."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.errors import UnfitError, UsageError
from producer.pull.download import Patience
from producer.pull.fetch import fetch
from producer.pull.manifest import Entry, chosen, entries, read_manifest
from tests.bad_server import CONTENT, Server, part_from, respond, serving, start_of

QUICK = Patience(timeout_s=60, first_wait_s=0.001)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as told:
        yield told


def entry(address: str, content: bytes = CONTENT, member: str | None = None) -> Entry:
    sha256 = hashlib.sha256(content).hexdigest()
    return Entry("net", "a use", address, sha256, len(content), "MIT", "net.onnx", member)


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix not in (".lock", ".onnx")]


def get(server: Server, folder: Path, path: str = "/net.onnx", **more: object) -> tuple[Path, bool]:
    return fetch(entry(server.url + path, **more), folder, patience=QUICK)  # type: ignore[arg-type]


def test_a_model_is_fetched_once(server: Server, tmp_path: Path) -> None:
    path, is_new = get(server, tmp_path / "deep" / "models")
    assert (path.read_bytes(), is_new) == (CONTENT, True)
    assert path == tmp_path / "deep" / "models" / "net.onnx"
    assert get(server, path.parent) == (path, False)
    assert server.ranges == [None]
    assert leftovers(path.parent) == []


def test_what_a_dropped_connection_left_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    stop = len(CONTENT) * 2 // 5
    server.behave = lambda request: part_from(request, CONTENT, stop if start_of(request) == 0 else None)
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={stop}-"]


def test_a_server_that_always_drops_is_asked_six_times_and_the_next_call_goes_on(
    server: Server, tmp_path: Path
) -> None:
    step = len(CONTENT) // 10
    server.behave = lambda request: part_from(request, CONTENT, start_of(request) + step)
    with pytest.raises(UnfitError) as caught:
        get(server, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"{server.url}/net.onnx" in message and str(tmp_path) in message and "net.onnx" in message
    assert server.ranges == [None, *(f"bytes={step * k}-" for k in range(1, 6))]
    assert visible(tmp_path) == []
    server.behave = None
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges[6:] == [f"bytes={step * 6}-"]
    assert leftovers(tmp_path) == []


def test_a_server_that_ignores_range_starts_over(server: Server, tmp_path: Path) -> None:
    def ignore(request: BaseHTTPRequestHandler) -> None:
        first = len(server.ranges) == 1
        respond(request, 200, CONTENT[:1000] if first else CONTENT, length=len(CONTENT))

    server.behave = ignore
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize(
    "claim",
    [f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", "bytes 1000-2000/2001", "bytes 1000-", "items 1-2/3", ""],
)
def test_a_range_that_was_not_asked_for_is_not_taken(server: Server, tmp_path: Path, claim: str) -> None:
    def lie(request: BaseHTTPRequestHandler) -> None:
        if len(server.ranges) == 1:
            respond(request, 200, CONTENT[:1000], length=len(CONTENT))
        elif start_of(request):
            respond(request, 206, CONTENT[1000:], Content_Range=claim)
        else:
            part_from(request, CONTENT)

    server.behave = lie
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", None]


@pytest.mark.parametrize("with_total", [True, False])
def test_416_on_a_complete_file_is_success(server: Server, tmp_path: Path, with_total: bool) -> None:
    packed = bz2.compress(CONTENT)
    server.content = packed
    server.behave = lambda request: part_from(request, packed, len(packed) - 1)
    with pytest.raises(UnfitError):
        get(server, tmp_path, "/net.onnx.bz2")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(packed)
    headers = {"Content_Range": f"bytes */{len(packed)}"} if with_total else {}
    server.behave = lambda request: respond(request, 416, b"", **headers)
    assert get(server, tmp_path, "/net.onnx.bz2")[0].read_bytes() == CONTENT


def test_416_on_a_file_that_is_too_long_starts_over(server: Server, tmp_path: Path) -> None:
    packed = bz2.compress(CONTENT)
    server.behave = lambda request: part_from(request, packed, 5)
    with pytest.raises(UnfitError):
        get(server, tmp_path, "/net.onnx.bz2")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"x" * (len(packed) + 7))
    server.behave, server.content = None, packed
    assert get(server, tmp_path, "/net.onnx.bz2")[0].read_bytes() == CONTENT


def test_a_wrong_checksum_is_never_accepted_and_nothing_stays(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"!"
    (tmp_path / "net.onnx").write_bytes(b"an older one")
    with pytest.raises(UnfitError, match="sha256"):
        get(server, tmp_path)
    assert len(server.ranges) == 1, "what is wrong as a whole is not asked for again"
    assert leftovers(tmp_path) == []
    assert (tmp_path / "net.onnx").read_bytes() == b"an older one"


def test_a_part_of_other_content_is_found_out_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.behave = lambda request: part_from(request, b"z" * len(CONTENT), 1000 + start_of(request))
    with pytest.raises(UnfitError):
        get(server, tmp_path)
    server.behave = None
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.ranges[-2:] == ["bytes=6000-", None]


def test_another_size_than_the_known_one_is_not_even_fetched(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT + b"more"
    with pytest.raises(UnfitError, match="512004 bytes, expected 512000"):
        get(server, tmp_path)


def test_a_server_that_says_nothing_is_given_up_and_asked_again(server: Server, tmp_path: Path) -> None:
    silence = threading.Event()
    patience = Patience(timeout_s=3, first_wait_s=0.001)

    def stall(request: BaseHTTPRequestHandler) -> None:
        if len(server.ranges) == 1:
            request.send_response(200)
            request.send_header("Content-Length", str(len(CONTENT)))
            request.end_headers()
            request.wfile.write(CONTENT[:3000])
            silence.wait(240)
            request.close_connection = True
        else:
            part_from(request, CONTENT)

    server.behave = stall
    try:
        found, _ = fetch(entry(f"{server.url}/net.onnx"), tmp_path, patience=patience)
        assert found.read_bytes() == CONTENT
    finally:
        silence.set()
    assert server.ranges == [None, "bytes=3000-"]


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, 6), (503, 6), (429, 6)])
def test_a_refusal_is_final_and_a_busy_server_is_asked_again(
    server: Server, tmp_path: Path, status: int, requests: int
) -> None:
    server.behave = lambda request: respond(request, status, b"no")
    with pytest.raises(UnfitError, match=str(status)):
        get(server, tmp_path)
    assert len(server.ranges) == requests


def test_a_redirect_is_followed_and_its_range_kept(server: Server, tmp_path: Path) -> None:
    def send_on(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/net.onnx":
            respond(request, 302, b"", Location="/there")
        else:
            part_from(request, CONTENT, 1000 if start_of(request) == 0 else None)

    server.behave = send_on
    assert get(server, tmp_path)[0].read_bytes() == CONTENT
    assert server.paths == ["/net.onnx", "/there"] * 2
    server.behave = lambda request: respond(request, 302, b"", Location=request.path)
    with pytest.raises(UnfitError, match="redirect"):
        get(server, tmp_path / "other")


def test_nobody_listening_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match=r"http://127\.0\.0\.1:9/net\.onnx"):
        fetch(entry("http://127.0.0.1:9/net.onnx"), tmp_path, patience=QUICK)


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, CONTENT)
    return packed.getvalue()


def tarred(*infos: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for info in infos:
            archive.addfile(info, io.BytesIO(CONTENT))
    return packed.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, len(CONTENT) if kind == tarfile.REGTYPE else 0
    return made


@pytest.mark.parametrize(
    ("ending", "packed"),
    [
        (".bz2", bz2.compress(CONTENT)),
        (".gz", gzip.compress(CONTENT)),
        (".xz", lzma.compress(CONTENT)),
        (".ZIP", zipped("pack/net.onnx", "pack/other.onnx")),
        (".tar", tarred(info("net.onnx"), mode="w:")),
        (".tar.gz", tarred(info("a/b/net.onnx"), info("a/readme"))),
        (".tgz", tarred(info("net.onnx"))),
        (".tar.xz", tarred(info("net.onnx"), mode="w:xz")),
    ],
)
def test_packed_files_are_unpacked(server: Server, tmp_path: Path, ending: str, packed: bytes) -> None:
    server.content = packed
    assert get(server, tmp_path, f"/net.onnx{ending}?raw=true")[0].read_bytes() == CONTENT
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("ending", "packed", "said"),
    [
        (".zip", zipped("other.onnx"), "one member net.onnx is expected"),
        (".zip", zipped("a/net.onnx", "b/net.onnx"), "got 2"),
        (".zip", zipped("../net.onnx"), "leads out"),
        (".zip", b"PK no archive", "no whole"),
        (".tar.gz", tarred(info("/etc/net.onnx")), "leads out"),
        (".tar.gz", tarred(info("net.onnx", tarfile.SYMTYPE, "/etc/passwd")), "got 0"),
        (".tar.gz", tarred(info("net.onnx", tarfile.LNKTYPE, "/etc/passwd")), "got 0"),
        (".tar.gz", tarred(info("net.onnx", tarfile.FIFOTYPE)), "got 0"),
        (".bz2", bz2.compress(CONTENT)[:-20], "no whole"),
        (".bz2", bz2.compress(CONTENT + b"bomb"), "more than 512000 bytes"),
        (".gz", gzip.compress(CONTENT[:-1]), "got 511999"),
        (".xz", b"nothing of the kind", "no whole"),
    ],
    ids=lambda value: "packed" if isinstance(value, bytes) else value,
)
def test_archives_are_not_trusted(
    server: Server, tmp_path: Path, ending: str, packed: bytes, said: str
) -> None:
    server.content = packed
    folder = tmp_path / "models"
    with pytest.raises(UnfitError, match=re.escape(said)):
        get(server, folder, f"/net.onnx{ending}")
    assert leftovers(folder) == visible(folder) == []
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_member_may_be_named(server: Server, tmp_path: Path) -> None:
    server.content = zipped("a/net.onnx", "b/net.onnx")
    assert get(server, tmp_path, "/all.zip", member="b/net.onnx")[0].read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnfitError, match=r"file/models cannot be written: Not a directory.*XDG_CACHE_HOME"):
        get(server, tmp_path / "file" / "models")


def test_a_full_disk_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.behave = lambda request: respond(request, 500, b"")
    with pytest.raises(UnfitError):
        get(server, tmp_path, "/net.onnx.bz2")
    server.behave = lambda request: part_from(request, CONTENT, 1000)
    with pytest.raises(UnfitError):
        get(server, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.unlink()
    part.symlink_to("/dev/full")  # every write to it fails with ENOSPC
    server.behave = None
    with pytest.raises(UnfitError, match=r"No space left on device; what has come is kept; make room"):
        get(server, tmp_path)


MANIFEST = """
[[model]]
name = "arc"
use = "identity"
address = "https://models.example/packs/w600k.onnx.xz"
sha256 = "{sha256}"
size = 7
licence = "research only"
"""


def test_a_manifest_adds_models_and_replaces_addresses(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    ours = MANIFEST.replace('"arc"', '"centerface"').replace("w600k", "mirror")
    path.write_text((MANIFEST + ours).format(sha256="AB" * 32))
    known = entries(path)
    assert known["arc"].file == "w600k.onnx"
    assert known["arc"].sha256 == "ab" * 32
    assert known["centerface"].address == "https://models.example/packs/mirror.onnx.xz"
    assert "dlib68" in known and "onnx98" not in known
    assert [one.name for one in chosen(["arc", "dlib68", "arc"], path)] == ["arc", "dlib68"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("https://models", "file://models"), "http"),
        (("size = 7", "size = 0"), "size"),
        (("size = 7", 'size = "7"'), "size"),
        (("licence", "license"), "missing: licence, unknown: license"),
        (("{sha256}", "12"), "64 hexadecimal"),
        (("w600k.onnx.xz", "%2e%2e%2f.xz"), "plain name"),
        (("size = 7", 'size = 7\nfile = "../x"'), "plain name"),
        (("[[model]]", "[[models]]"), "list `model`"),
        (("[[model]]", "]]"), "TOML"),
        (('"arc"', "7"), "text"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(MANIFEST.replace(*change).replace("{sha256}", "ab" * 32))
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_models_without_an_address_and_unknown_ones_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no public address.*onnx98.*--landmark-model.*--manifest"):
        chosen(["onnx98"], None)
    with pytest.raises(UsageError, match="nonsense"):
        chosen(["nonsense"], None)
    with pytest.raises(UsageError, match="cannot be read"):
        entries(tmp_path / "absent.toml")
