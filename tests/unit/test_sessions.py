import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UnfitError
from tests.unit.test_graphs import save_doubler
from workers import sessions
from workers.graphs import prepared_graph
from workers.sessions import open_session, provider_of


@pytest.fixture
def graph(tmp_path: Path) -> bytes:
    return prepared_graph(save_doubler(tmp_path / "m.onnx", [1, 2]), None)


def test_a_session_on_the_cpu_says_so(graph: bytes) -> None:
    assert provider_of(open_session(graph, "cpu", 1)) == "CPU"


def test_a_path_is_opened_like_its_bytes(tmp_path: Path) -> None:
    path = save_doubler(tmp_path / "m.onnx", [1, 2])
    assert [value.name for value in open_session(path, "cpu", 1).get_outputs()] == ["y"]


def test_threads_are_as_asked_and_do_not_spin(graph: bytes) -> None:
    options = open_session(graph, "cpu", 2).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_has_nvidia_device", lambda: False)


@pytest.mark.usefixtures("no_cuda")
def test_auto_falls_back_to_the_cpu_and_prints_nothing(
    graph: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert provider_of(open_session(graph, "auto", 1)) == "CPU"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_cuda_asked_for_in_vain_names_the_extra(graph: bytes, device: str) -> None:
    with pytest.raises(UnfitError, match=rf"{device}.*maskmill\[cuda\]"):
        open_session(graph, device, 1)


def test_cuda_that_onnxruntime_cannot_start_names_the_extra(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "cuda_obstacle", lambda: None)
    # What ONNX Runtime does then: it leaves the CPU in the session, and raises nothing.
    opened = sessions._open
    monkeypatch.setattr(
        sessions, "_open", lambda model, _providers, *rest: opened(model, ["CPUExecutionProvider"], *rest)
    )
    with pytest.raises(UnfitError, match=r"maskmill\[cuda\]"):
        open_session(graph, "cuda:0", 1)


def test_hidden_devices_are_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.sessions.ort.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert sessions.cuda_obstacle() == "CUDA_VISIBLE_DEVICES hides every device"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", ""])
def test_an_unknown_device_is_unfit(graph: bytes, device: str) -> None:
    with pytest.raises(UnfitError, match="auto, cpu or cuda:N"):
        open_session(graph, device, 1)


@pytest.mark.parametrize("junk", [b"", b"this is no network"])
def test_junk_is_unfit_in_one_line(junk: bytes) -> None:
    with pytest.raises(UnfitError, match="cannot open the detector") as caught:
        open_session(junk, "cpu", 1, label="the detector")
    assert "\n" not in str(caught.value)


_OPEN_AND_RUN = """
import sys, pathlib
from workers.sessions import open_session
import numpy as np
session = open_session(pathlib.Path(sys.argv[1]), "cpu", 1)
session.run(None, {session.get_inputs()[0].name: np.ones((1, 2), np.float32)})
print(len(list(pathlib.Path("/proc/self/task").iterdir())))
"""


def test_onnx_runtime_keeps_no_identifier_and_starts_no_thread_that_reports(tmp_path: Path) -> None:
    model = save_doubler(tmp_path / "m.onnx", [1, 2])
    home = tmp_path / "home"
    home.mkdir()
    # CI silences it too.
    quiet = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_AND_RUN, str(model)],
        env={**environment, "HOME": str(home), "TMPDIR": str(home), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
    assert list(home.rglob("*")) == []
