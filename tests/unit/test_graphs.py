import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import UnfitError
from workers import graphs
from workers.graphs import kept_graph, prepared_graph
from workers.sessions import open_session


def save_doubler(path: Path, shape: list[int]) -> Path:
    """Write a network y = x · two, with `two` wrongly listed among the inputs and fixed sizes throughout."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["m"]), helper.make_node("Identity", ["m"], ["y"])],
        "doubler",
        [
            helper.make_tensor_value_info("two", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array([2], dtype=np.float32), "two")],
        value_info=[helper.make_tensor_value_info("m", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_initializers_are_no_longer_inputs(tmp_path: Path) -> None:
    graph = onnx.load_model_from_string(prepared_graph(save_doubler(tmp_path / "m.onnx", [1, 2]), None)).graph
    assert [value.name for value in graph.input] == ["x"]
    assert [tensor.name for tensor in graph.initializer] == ["two"]


def test_freed_axes_take_other_sizes_than_the_file_declares(tmp_path: Path) -> None:
    source = save_doubler(tmp_path / "m.onnx", [10, 3, 32, 32])
    session = open_session(prepared_graph(source, None, {0: "n", 2: "h", 3: "w"}), "cpu", 1)
    (doubled,) = session.run(None, {"x": np.full((1, 3, 4, 5), 1.5, dtype=np.float32)})
    assert doubled.shape == (1, 3, 4, 5)
    assert (doubled == 3).all()


def test_the_second_time_the_kept_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save_doubler(tmp_path / "m.onnx", [1, 2])
    first = prepared_graph(source, tmp_path / "cache")
    monkeypatch.setattr(graphs, "_prepare", lambda *_: pytest.fail("prepared again"))
    assert prepared_graph(source, tmp_path / "cache") == first


def test_other_axes_another_file_and_another_recipe_are_prepared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_doubler(tmp_path / "m.onnx", [1, 2])
    prepared_graph(source, tmp_path / "cache")
    prepared_graph(source, tmp_path / "cache", {0: "n"})
    prepared_graph(save_doubler(tmp_path / "m.onnx", [1, 3]), tmp_path / "cache")
    monkeypatch.setattr(graphs, "RECIPE", graphs.RECIPE + 1)
    prepared_graph(source, tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 4


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    source = save_doubler(tmp_path / "m.onnx", [1, 2])
    blocked = tmp_path / "a-file"
    blocked.write_text("no directory")
    assert prepared_graph(source, blocked) == prepared_graph(source, None)


def test_a_failed_replace_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.graphs.os.replace", full)
    prepared_graph(save_doubler(tmp_path / "m.onnx", [1, 2]), tmp_path / "cache")
    assert list((tmp_path / "cache" / "graphs").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no network", b"\x00" * 100])
def test_a_file_that_is_no_network_is_unfit(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.onnx"
    path.write_bytes(content)
    with pytest.raises(UnfitError, match=r"junk\.onnx"):
        prepared_graph(path, None)


def test_a_missing_file_is_unfit(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match=r"absent\.onnx.*No such file"):
        prepared_graph(tmp_path / "absent.onnx", None)


def test_a_broken_kept_file_is_replaced(tmp_path: Path) -> None:
    source = save_doubler(tmp_path / "m.onnx", [1, 2])
    first = prepared_graph(source, tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "graphs").iterdir()
    whole = kept.read_bytes()
    for broken in (whole[:-9], b"", whole[:10] + b"?" + whole[11:]):
        kept.write_bytes(broken)
        assert prepared_graph(source, tmp_path / "cache") == first
        assert kept.read_bytes() == whole


def test_what_takes_long_is_made_once_while_others_wait(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(threading.get_ident())
        time.sleep(0.2)
        return b"a graph"

    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(kept_graph("k", tmp_path, make, is_slow=True)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"a graph"] * 4
    assert len(made) == 1


def test_who_fails_to_make_it_lets_the_next_one_try(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise UnfitError("no network")

    with pytest.raises(UnfitError):
        kept_graph("k", tmp_path, fail, is_slow=True)
    assert kept_graph("k", tmp_path, lambda: b"a graph", is_slow=True) == b"a graph"


def test_what_takes_long_is_made_without_a_lock_where_none_can_be_had(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("no directory")
    assert kept_graph("k", blocked, lambda: b"a graph", is_slow=True) == b"a graph"
