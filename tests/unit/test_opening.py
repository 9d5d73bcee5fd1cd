"""Graphs that are optimised once and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UnfitError
from tests.unit.test_graphs import save_doubler
from workers import opening
from workers.graphs import kept_graph
from workers.opening import Variant, open_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_doubler(tmp_path / "m.onnx", [1, 2])


def opened(model: Path, cache: Path | None, **further: Any) -> Any:
    return open_network(model, device="cpu", threads=1, cache_dir=cache, label="the doubler", **further)


def doubles(session: Any) -> bool:
    (answer,) = session.run(None, {"x": np.array([[1.5, -4]], np.float32)})
    return bool((answer == [[3, -8]]).all())


def kept(cache: Path) -> set[Path]:
    return set((cache / "graphs").iterdir())


def test_the_second_process_opens_what_the_first_has_optimised(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doubles(opened(model, tmp_path / "cache"))
    monkeypatch.setattr(opening, "optimised_graph", lambda *_: pytest.fail("optimised again"))
    monkeypatch.setattr(opening, "prepared_graph", lambda *_: pytest.fail("prepared again"))
    assert doubles(opened(model, tmp_path / "cache"))


def test_without_a_cache_nothing_is_kept(model: Path, tmp_path: Path) -> None:
    assert doubles(opened(model, None))
    assert set(tmp_path.iterdir()) == {model}


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: bytes([b[0] ^ 1]) + b[1:]]
)
def test_a_broken_file_is_replaced_without_a_word(
    model: Path, tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    opened(model, cache)
    whole = {path: path.read_bytes() for path in kept(cache)}
    for path, content in whole.items():
        path.write_bytes(damage(content))
    assert doubles(opened(model, cache))
    assert {path: path.read_bytes() for path in kept(cache)} == whole
    assert caplog.records == []


def test_a_whole_file_that_cannot_be_run_is_passed_over(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before: set[Path] = set()
    opened(model, cache)
    for path in kept(cache) - before:
        path.unlink()
        kept_graph(path.stem, cache, lambda: b"of another machine")
    # The prepared graph is of no use either: the model itself is.
    with pytest.raises(UnfitError, match="the doubler"):
        opened(model, cache)
    next(path for path in sorted(kept(cache)) if path != _optimised(model, cache)).unlink()
    assert doubles(opened(model, cache))


def _optimised(model: Path, cache: Path) -> Path:
    key = opening._key(model, {}, None, opening.ort.__version__, opening._cpu_kind())
    return cache / "graphs" / f"{key}.graph"


def test_what_the_graph_follows_from_is_in_its_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    names = set()

    def name() -> None:
        before = kept(cache) if cache.exists() else set()
        opened(model, cache)
        names.update(kept(cache) - before)

    name()
    assert len(names) == 2, "the prepared graph and the optimised one"
    monkeypatch.setattr(opening, "_cpu_kind", lambda: "another processor")
    name()
    monkeypatch.setattr(opening.ort, "__version__", "99.0")
    name()
    assert len(names) == 4
    opened(model, cache, variant=Variant("as it is", lambda graph: graph))
    assert len(kept(cache)) == 6, "the variant, and what was optimised of it"
    save_doubler(model, [1, 2, 3])
    name()
    assert len(names) == 6, "two of another model"


def test_processes_that_start_at_once_all_get_a_whole_graph(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from workers.opening import open_network\n"
        "for _ in range(5): open_network(Path(sys.argv[1]), device='cpu', threads=1, "
        "cache_dir=Path(sys.argv[2]), label='the doubler')"
    )
    command = [sys.executable, "-c", code, str(model), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 3
    assert [path.suffix for path in kept(tmp_path / "cache")] == [".graph"] * 2
    assert doubles(opened(model, tmp_path / "cache"))


def test_a_file_that_is_no_network_is_unfit_and_leaves_nothing(tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"this is no network")
    with pytest.raises(UnfitError, match=r"junk\.onnx"):
        opened(junk, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
