"""Transforms from point pairs."""

from __future__ import annotations

import numpy as np
import pytest

from workers.geometry import fit_affine, fit_similarity, transform_points

TRIANGLE = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def test_a_similarity_recovers_a_quarter_turn_twice_as_large() -> None:
    # (x, y) -> (-2y + 10, 2x + 20), by hand
    target = np.array([[10.0, 20.0], [10.0, 22.0], [8.0, 20.0]])
    np.testing.assert_allclose(fit_similarity(TRIANGLE, target), [[0, -2, 10], [2, 0, 20]], atol=1e-12)


def test_a_similarity_of_two_points_is_exact() -> None:
    matrix = fit_similarity(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[5.0, 5.0], [5.0, 9.0]]))
    np.testing.assert_allclose(matrix, [[0, -2, 5], [2, 0, 5]], atol=1e-12)


def test_a_similarity_never_mirrors() -> None:
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    matrix = fit_similarity(square, square * (-1, 1))
    assert np.linalg.det(matrix[:, :2]) >= 0


def test_a_similarity_far_from_the_origin_keeps_its_precision() -> None:
    matrix = fit_similarity(TRIANGLE + 1e6, TRIANGLE)
    np.testing.assert_allclose(transform_points(matrix, TRIANGLE + 1e6), TRIANGLE, atol=1e-6)


def test_points_that_coincide_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        fit_similarity(np.full((5, 2), 7.25), np.arange(10.0).reshape(5, 2))


def test_an_affine_transform_takes_three_points_exactly() -> None:
    # (x, y) -> (3x + y + 1, 2y - 1), by hand
    target = np.array([[1.0, -1.0], [4.0, -1.0], [2.0, 1.0]])
    np.testing.assert_allclose(fit_affine(TRIANGLE, target), [[3, 1, 1], [0, 2, -1]], atol=1e-12)


@pytest.mark.parametrize(
    "points",
    [
        np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]),
        np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]),
        np.array([[3.0, 4.0], [3.0, 4.0], [9.0, 1.0]]),
        np.zeros((3, 2)),
    ],
)
def test_points_on_one_line_have_no_affine_transform(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="line"):
        fit_affine(points, TRIANGLE)


@pytest.mark.parametrize("fit", [fit_similarity, fit_affine])
def test_points_that_are_not_finite_are_refused(fit: object) -> None:
    broken = TRIANGLE.copy()
    broken[1, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fit(broken, TRIANGLE)  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(0, 2), (1, 2), (3, 3), (6,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="points must be"):
        fit_similarity(np.ones(shape), np.ones(shape))


def test_an_affine_transform_needs_three_points() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        fit_affine(np.ones((4, 2)), np.ones((4, 2)))


def test_points_may_come_in_single_precision_and_results_are_double() -> None:
    assert fit_similarity(TRIANGLE.astype(np.float32), TRIANGLE.astype(np.float32)).dtype == np.float64


def test_no_points_stay_no_points() -> None:
    assert transform_points(np.eye(2, 3), np.empty((0, 2))).shape == (0, 2)
