"""The table of what faults cost."""

from __future__ import annotations

import json

import pytest

from benchmarks.soakreport import BEGIN, END, measured_at, table_of, update


def row(name: str, **figures: object) -> str:
    return json.dumps(
        {"id": name, "case": name, "fault": "a fault", "commit": "c0ffee", "versions": "v", **figures}
    )


def test_the_table_has_one_row_a_test_the_latest_in_the_order_of_the_numbers() -> None:
    lines = [row("F10", images=1, lost=3), row("–", case="x"), row("F2a", lost=5), "", row("F10", lost=0)]
    text = table_of(lines)
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert cells == ["| #", "| ---", "| F2a", "| F10", "| –"]
    assert "| F10 | a fault |  |  | 0 |" in text
    assert text.startswith("- measured at commit c0ffee: v\n")


def test_every_column_of_the_issue_is_there() -> None:
    text = table_of([row("F1", lost=0, beyond_ideal=7, recovery_s=1.5, slowdown=2.0)])
    for column in ("lost before reconcile", "executions beyond ideal", "seconds to recover", "slowdown"):
        assert f"| {column} " in text


def test_figures_of_several_commits_say_so() -> None:
    text = table_of([row("F1"), row("F2", commit="beef")])
    assert "commit c0ffee" in text
    assert "commit beef" in text


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert update(document, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert update(update(document, "old"), "new") == update(document, "new")
    with pytest.raises(ValueError, match="begin"):
        update("no markers", "new")


def test_the_place_of_measurement_names_commit_and_versions() -> None:
    found = measured_at()
    assert found.keys() == {"commit", "versions"}
    for word in ("Python 3.", "celery 5.", "kombu 5."):
        assert word in found["versions"]
