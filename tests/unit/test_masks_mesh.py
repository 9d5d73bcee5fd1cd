"""The mesh over a face whose points are made by hand, and the faces that the other mask tests draw on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.arrays import FloatArray, ImageBgr
from workers.masks.anchors import U_KNOTS, V_KNOTS
from workers.masks.frame import FaceFrame, read_frame
from workers.masks.mesh import Mesh, Meshes, grid_of, lay_meshes
from workers.masks.pose import read_poses
from workers.masks.raster import rasterise
from workers.masks.spec import MaskSpec
from workers.masks.splines import spline_matrix

BLUE = MaskSpec("surgical-blue", "surgical", "#8fbfdc", "pleated")

# A face of 300-W proportions: x, y (down), z (towards the viewer); the eyes are 1 apart and at height 0.
_HALF_JAW = [
    *((-1.15, 0.05, -0.75), (-1.14, 0.38, -0.68), (-1.10, 0.70, -0.6), (-1.03, 1.00, -0.5)),
    *((-0.92, 1.28, -0.35), (-0.74, 1.52, -0.1), (-0.50, 1.72, 0.15), (-0.26, 1.85, 0.35)),
]
_BROW = [
    (-0.95, -0.25, 0.2),
    (-0.75, -0.38, 0.4),
    (-0.55, -0.42, 0.5),
    (-0.36, -0.38, 0.57),
    (-0.18, -0.32, 0.6),
]
_NOSE = [(0.0, -0.02, 0.62), (0.0, 0.16, 0.75), (0.0, 0.34, 0.9), (0.0, 0.50, 1.02)]
_NOSTRILS = [
    (-0.25, 0.62, 0.6),
    (-0.12, 0.66, 0.72),
    (0.0, 0.69, 0.78),
    (0.12, 0.66, 0.72),
    (0.25, 0.62, 0.6),
]
_EYE = [
    *((-0.70, 0.02, 0.25), (-0.58, -0.07, 0.36), (-0.43, -0.07, 0.38)),
    *((-0.30, 0.03, 0.36), (-0.43, 0.07, 0.37), (-0.58, 0.07, 0.34)),
]
_MOUTH = [
    *((-0.42, 1.12, 0.45), (-0.27, 1.03, 0.6), (-0.1, 0.97, 0.7), (0.0, 1.0, 0.72), (0.1, 0.97, 0.7)),
    *((0.27, 1.03, 0.6), (0.42, 1.12, 0.45), (0.27, 1.26, 0.6), (0.12, 1.32, 0.66), (0.0, 1.34, 0.67)),
    *((-0.12, 1.32, 0.66), (-0.27, 1.26, 0.6), (-0.37, 1.12, 0.48), (-0.1, 1.08, 0.66), (0.0, 1.1, 0.68)),
    *((0.1, 1.08, 0.66), (0.37, 1.12, 0.48), (0.1, 1.17, 0.64), (0.0, 1.18, 0.65), (-0.1, 1.17, 0.64)),
]


def _mirrored(points: list[tuple[float, float, float]], order: list[int]) -> list[tuple[float, float, float]]:
    return [(-points[i][0], points[i][1], points[i][2]) for i in order]


FACE = np.array(
    [
        *_HALF_JAW,
        (0.0, 1.90, 0.45),
        *_mirrored(_HALF_JAW, [7, 6, 5, 4, 3, 2, 1, 0]),
        *_BROW,
        *_mirrored(_BROW, [4, 3, 2, 1, 0]),
        *_NOSE,
        *_NOSTRILS,
        *_EYE,
        *_mirrored(_EYE, [3, 2, 1, 0, 5, 4]),
        *_MOUTH,
    ]
)


def turned_face(
    unit: float,
    centre_xy: tuple[float, float],
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
) -> FloatArray:
    """Return (68, 2) points of the face by hand; positive yaw looks to the image's right.

    As annotators draw it, the far jaw line is not the bone but the silhouette of the cheek before it.
    """
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    x, y, z = (FACE - (0.0, 0.8, 0.0)).T
    cheek = np.linspace(0, np.pi / 2, 31)[:, None]
    side = np.sign(x[:17])
    over_x, over_z = x[:17] * np.cos(cheek), z[:17] + (0.45 - z[:17]) * np.sin(cheek)
    reach = (side * (np.cos(yaw) * over_x + np.sin(yaw) * over_z)).max(axis=0)
    x, z = np.cos(yaw) * x + np.sin(yaw) * z, np.cos(yaw) * z - np.sin(yaw) * x
    x[:17] = np.where(side * yaw > 0, side * reach, x[:17])
    y = np.cos(pitch) * y + np.sin(pitch) * z
    x, y = np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y
    return unit * np.stack([x, y], axis=1) + centre_xy


def skin_image(landmarks: FloatArray, size_wh: tuple[int, int], skin_bgr: tuple[int, int, int]) -> ImageBgr:
    """Return a photograph by hand: grey wall, skin within the face, dark eyes, white beside them."""
    image = np.full((size_wh[1], size_wh[0], 3), 200, dtype=np.uint8)
    for part, color in (
        (slice(0, 27), skin_bgr),
        (slice(36, 42), (40, 40, 40)),
        (slice(42, 48), (40, 40, 40)),
    ):
        outline = cv2.convexHull(np.round(landmarks[part]).astype(np.int32))
        cv2.fillConvexPoly(image, outline, color)
    return cv2.GaussianBlur(image, (0, 0), 0.7)


def lay_mesh(landmarks: FloatArray, frame: FaceFrame, spec: MaskSpec) -> Mesh:
    return lay_alone(landmarks, frame, spec).each()[0]


def lay_alone(landmarks: FloatArray, frame: FaceFrame, spec: MaskSpec) -> Meshes:
    """Return the mesh of one face as that of a picture with no other."""
    poses = read_poses(landmarks[None], [frame])
    return lay_meshes(landmarks[None], [frame], poses, [spec], grid_of(frame.unit))


def test_the_spline_passes_through_its_points_and_keeps_straight_lines_straight() -> None:
    knots = (0.0, 0.25, 0.75, 1.0)
    matrix = spline_matrix(knots, 5)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(matrix @ (3 * np.array(knots) - 1), [-1, -0.25, 0.5, 1.25, 2], atol=1e-12)
    np.testing.assert_allclose(matrix[[0, 1, 3, 4]], np.eye(4), atol=1e-12)


def test_the_spline_of_three_points_is_the_one_worked_by_hand() -> None:
    # Knots 0, 1, 2 with values 0, 1, 0: M1 = -3, so s(0.5) = 0.5 + (1/6)(0.125 - 0.5)(-3) = 0.6875.
    np.testing.assert_allclose(
        spline_matrix((0.0, 1.0, 2.0), 5) @ np.array([0, 1, 0]), [0, 0.6875, 1, 0.6875, 0], atol=1e-12
    )


def test_the_frame_of_a_face_by_hand() -> None:
    frame = read_frame(turned_face(40, (100, 90)))
    # The eyes' points lie 0.05 / 6 units below 0 on average and 3.02 / 6 aside; the mouth's corners at 1.12.
    np.testing.assert_allclose(frame.eyes, [100, 90 + (0.05 / 6 - 0.8) * 40], atol=1e-6)
    np.testing.assert_allclose(frame.mouth, [100, 90 + 0.32 * 40], atol=1e-6)
    assert frame.unit == pytest.approx(2 * 3.02 / 6 * 40)
    assert frame.yaw == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("roll_deg", [0, 30, 90, -120, 180])
def test_the_axes_follow_the_roll_and_the_yaw_does_not(roll_deg: float) -> None:
    frame = read_frame(turned_face(40, (100, 90), yaw_deg=25, roll_deg=roll_deg))
    angle = np.radians(roll_deg)
    assert frame.right @ [np.cos(angle), np.sin(angle)] > 0.98
    assert frame.down @ [-np.sin(angle), np.cos(angle)] > 0.98
    assert frame.yaw == pytest.approx(read_frame(turned_face(40, (0, 0), yaw_deg=25)).yaw, abs=1e-9)


@pytest.mark.parametrize("yaw_deg", [-50, -30, -15, 15, 30, 50])
def test_the_yaw_is_right_to_within_a_dozen_degrees(yaw_deg: float) -> None:
    assert np.degrees(read_frame(turned_face(40, (0, 0), yaw_deg=yaw_deg)).yaw) == pytest.approx(
        yaw_deg, abs=12
    )


def test_the_mesh_of_a_frontal_face_is_its_own_mirror_image() -> None:
    face = turned_face(40, (0, 0))
    mesh = lay_mesh(face, read_frame(face), BLUE)
    np.testing.assert_allclose(mesh.points[:, ::-1] * [-1, 1], mesh.points, atol=1e-9)
    np.testing.assert_allclose(mesh.depth[:, ::-1], mesh.depth, atol=1e-12)
    normals = lay_alone(face, read_frame(face), BLUE).normals[0]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-12)
    rows, columns = mesh.depth.shape
    assert normals[2, rows // 2, columns // 2] > 0.9


def test_the_mesh_turns_moves_and_grows_with_the_face() -> None:
    face = turned_face(40, (0, 0), yaw_deg=20)
    mesh = lay_mesh(face, read_frame(face), BLUE)
    other = turned_face(80, (300, -50), yaw_deg=20, roll_deg=90)
    grown = lay_mesh(other, read_frame(other), BLUE)
    # Rolled by 90 degrees, (x, y) goes to (-y, x).
    np.testing.assert_allclose(
        grown.points, 2 * np.stack([-mesh.points[..., 1], mesh.points[..., 0]], -1) + [300, -50], atol=1e-6
    )


def test_offset_moves_the_mask_down_and_rotation_turns_it_clockwise() -> None:
    face = turned_face(40, (0, 0))
    frame = read_frame(face)
    mesh = lay_mesh(face, frame, BLUE)
    lower = lay_mesh(face, frame, MaskSpec("surgical-blue", "surgical", "#8fbfdc", "pleated", y_offset=0.02))
    np.testing.assert_allclose(
        lower.points - mesh.points, np.broadcast_to([0, 0.02 * frame.height], mesh.points.shape), atol=1e-9
    )
    turned = lay_mesh(
        face, frame, MaskSpec("surgical-blue", "surgical", "#8fbfdc", "pleated", rotation_deg=2.0)
    )
    moved = turned.points - mesh.points
    # Clockwise as seen: the right end sinks, the left end rises.
    assert moved[0, -1, 1] > 0 > moved[0, 0, 1]


def test_the_nose_and_the_mouth_show_the_fabric_that_lies_on_them() -> None:
    face = turned_face(40, (100, 100))
    raster = rasterise(lay_mesh(face, read_frame(face), BLUE), (0, 0), (200, 200), 1, 2)
    for landmark, v in ((30, V_KNOTS[1]), (66, V_KNOTS[2])):
        x, y = np.round(face[landmark]).astype(int)
        assert raster.cover[y, x] == 1
        assert raster.u[y, x] == pytest.approx((U_KNOTS[3] + 1) / 2, abs=0.02)
        assert raster.v[y, x] == pytest.approx(v, abs=0.05)


def test_a_coarser_raster_shows_the_same_places() -> None:
    face = turned_face(40, (100, 100), roll_deg=30)
    mesh = lay_mesh(face, read_frame(face), BLUE)
    fine, coarse = (rasterise(mesh, (40, 60), (120, 110), detail, 2) for detail in (1, 0.45))
    inner = cv2.erode(fine.cover, np.ones((7, 7))) == 1
    assert inner.sum() > 3000
    assert np.abs(coarse.u - fine.u)[inner].max() < 0.02
    assert np.abs(coarse.v - fine.v)[inner].max() < 0.02
    assert (coarse.cover == fine.cover).all()


def test_a_far_flank_that_is_seen_from_behind_is_hidden_by_the_nearer() -> None:
    grid = np.zeros((2, 3, 2))
    # The right cell is folded back over the left one, and lies behind it.
    grid[..., 0], grid[..., 1] = [10, 30, 12], [[10], [30]]
    depth = np.array([[1.0, 0.5, 0.0]] * 2)
    (mesh,) = Meshes(grid[None], depth[None], np.zeros((1, 3, 2, 3))).each()
    assert mesh.is_folded and mesh.box == (10, 10, 30, 30)
    raster = rasterise(mesh, (0, 0), (40, 40), 1, 2)
    assert raster.cover[12:29, 12:29].min() == 1 and raster.cover[:, 33:].max() == 0
    assert raster.u[20, 20] == pytest.approx(0.25, abs=0.03)
