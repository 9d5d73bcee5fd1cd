"""What the watching shows to whom: Flower and the Prometheus page, from outside."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable

import psutil
import pytest

from tests.faults.cluster import Cluster
from tests.faults.servers import wait_until
from tests.faults.trial import Expected
from tests.ports import free_port

LOGIN = "watcher:secret"


def ask(url: str, *, login: str | None = None, method: str = "GET") -> tuple[int, bytes]:
    """Status and content."""
    request = urllib.request.Request(url, method=method, data=b"" if method == "POST" else None)
    if login:
        request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()


def is_open(address: str, port: int) -> bool:
    """Somebody listens there."""
    with socket.socket() as one:
        one.settimeout(5)
        return one.connect_ex((address, port)) == 0


def other_addresses() -> list[str]:
    """IPv4 addresses of this machine besides loopback."""
    found = [
        one.address
        for all_of in psutil.net_if_addrs().values()
        for one in all_of
        if one.family == socket.AF_INET
    ]
    return [address for address in found if not address.startswith("127.")]


@pytest.mark.soak
def test_f20_flower_shows_tasks_to_those_who_log_in_and_lets_nobody_change_anything(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster()
    assert cluster.command("flower", "--address", "0.0.0.0").returncode == 2
    port = free_port()
    flower = cluster.start("flower", "--port", port, MASKMILL_FLOWER_BASIC_AUTH=LOGIN)
    wait_until(lambda: is_open("127.0.0.1", port) or flower.poll() is not None, "Flower")
    assert flower.poll() is None, (cluster.folder / "commands.log").read_text()
    cluster.start_worker()
    wait_until(lambda: len(cluster.children()) == 2, "the worker")
    wait_until(
        lambda: ask(f"http://127.0.0.1:{port}/api/workers?refresh=1", login=LOGIN)[0] == 200, "its workers"
    )
    cluster.enqueue(expected.folder)
    cluster.wait_done()
    base = f"http://127.0.0.1:{port}"
    guarded = [
        "/",
        "/workers",
        "/tasks",
        "/broker",
        "/api/workers",
        "/api/tasks",
        "/api/queues/length",
        "/metrics",
    ]
    for path in guarded:
        without, _ = ask(base + path)
        assert without == 401, f"{path} answers {without} without a login"
        assert ask(base + path, login="watcher:wrong")[0] == 401
    tasks = json.loads(ask(base + "/api/tasks", login=LOGIN)[1])
    # The worker serves both queues: it augments a chunk inside the task that detected it.
    assert {task["name"] for task in tasks.values()} == {"maskmill.detect"}
    shown = json.dumps(tasks)
    assert f"job {cluster.job_name()} images" in shown
    assert str(expected.folder) not in shown
    assert ".jpg" not in shown
    worker = next(iter(tasks.values()))["worker"]
    changing = ["/api/worker/shutdown/" + worker, "/api/task/async-apply/maskmill.detect",
                "/api/task/revoke/" + next(iter(tasks)), "/api/worker/pool/restart/" + worker]  # fmt: skip
    for path in changing:
        assert ask(base + path, method="POST")[0] in (401, 403)
        assert ask(base + path, method="POST", login=LOGIN)[0] in (403, 405)
    assert len(cluster.mains()) == 1
    for address in other_addresses():
        assert not is_open(address, port)
    note_figures(
        "F20",
        "Flower asked without a login and from elsewhere",
        disturbances=f"{len(guarded)} routes",
        notes=f"401 on all; {len(changing)} changing routes refused with a login too; "
        f"{len(other_addresses())} other addresses closed",
    )


@pytest.mark.soak
def test_the_prometheus_page_of_a_worker_tells_states_stages_and_queues(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    port = free_port()
    cluster = make_cluster(metrics_port=port)
    cluster.start_worker()
    wait_until(lambda: is_open("127.0.0.1", port), "the page")
    cluster.enqueue(expected.folder)
    cluster.wait_done()

    def page() -> str:
        return ask(f"http://127.0.0.1:{port}/metrics")[1].decode()

    wait_until(lambda: "32" in page(), "the counts")
    text = page()
    assert "# TYPE" in text
    for word in ("images", "seconds_bucket", "queue"):
        assert word in text, text[:2000]
    assert "done" in text
    for address in other_addresses():
        assert not is_open(address, port)
