"""An upgrade in the middle of a job: a new version finishes what an earlier one began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.faults.cluster import PROJECT, Cluster
from tests.faults.killers import kill_all_workers
from tests.faults.servers import PostgresServer, RedisServer
from tests.faults.test_deliveries import push
from tests.faults.trial import SLOW, Trial

EARLIER = "0002"
"""A schema without what 0003 and 0010 brought: how masks are worn, `images.starts`, `images.version`."""


def go_back(cluster: Cluster) -> None:
    """Make the database one of an earlier version, with a job that this version began."""
    url = cluster.database_url.replace("postgresql://", "postgresql+psycopg://")
    subprocess.run(
        [Path(sys.executable).parent / "alembic", "downgrade", EARLIER],
        cwd=PROJECT,
        env={**os.environ, "MASKMILL_DATABASE_URL": url},
        check=True,
        capture_output=True,
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        options = connection.execute(text("SELECT options FROM jobs")).scalar_one()
        options = json.loads(options) if isinstance(options, str) else options
        for unknown_then in ("wears", "skip_masked"):
            options.pop(unknown_then)
        connection.execute(
            text("UPDATE jobs SET version = '0.0.1', options = :o"), {"o": json.dumps(options)}
        )
    engine.dispose()


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_new_version_finishes_the_job_of_an_earlier_one(
    make_trial: Callable[..., Trial],
    redis_server: RedisServer,
    request: pytest.FixtureRequest,
    database: str,
) -> None:
    server: PostgresServer | None = (
        request.getfixturevalue("postgres_server") if database == "postgresql" else None
    )
    trial = make_trial(32, server, faults=[SLOW], chunk_size=2)
    cluster = trial.cluster
    trial.begin()
    trial.wait_for(0.25)
    cluster.is_supervised = False
    kill_all_workers(cluster)
    before = cluster.final()
    go_back(cluster)
    # What the earlier version sent may have had another shape: it is refused, and its images are sent anew.
    waiting = redis_server.client.llen("detect") // 2
    for _ in range(waiting):
        redis_server.client.rpop("detect")
        push(redis_server.client, "detect", {"version": 0, "job": cluster.job_name(), "images": [1, 2]})
    for command in (["worker"], ["enqueue", "--input", trial.expected.folder, "--output", cluster.output]):
        refused = cluster.command(*command)
        assert refused.returncode == 3
        assert "maskmill db upgrade" in refused.stderr
    assert cluster.command("db", "upgrade").returncode == 0
    cluster.is_supervised = True
    trial.end(
        "–",
        f"upgrade in the middle of a job, {database}",
        # The earlier version did not count what it began.
        beyond_ideal=None,
        refused=waiting,
        disturbances=f"{waiting} old messages",
    )
    assert cluster.rows("SELECT version FROM jobs")[0][0] == "0.0.1"
    by_version = dict(cluster.rows("SELECT version, count(*) FROM images GROUP BY 1"))
    assert by_version.keys() == {None, version("maskmill")}
    assert by_version[None] == before > 0
    assert waiting > 0
