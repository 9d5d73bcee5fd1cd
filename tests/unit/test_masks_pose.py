"""The turn of heads that were turned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_masks_mesh import turned_face
from workers.masks.frame import read_frame
from workers.masks.pose import Pose, read_poses


def _pose(yaw_deg: float, pitch_deg: float, roll_deg: float, unit: float = 50) -> Pose:
    face = turned_face(unit, (200, 100), yaw_deg, pitch_deg, roll_deg)
    return read_poses(face[None], [read_frame(face)])[0]


@pytest.mark.parametrize("yaw_deg", [-60, -30, 0, 30, 60])
@pytest.mark.parametrize("pitch_deg", [-20, 0, 20])
@pytest.mark.parametrize("roll_deg", [-30, 0, 15])
def test_the_pose_is_right_to_within_eight_degrees(yaw_deg: int, pitch_deg: int, roll_deg: int) -> None:
    pose = _pose(yaw_deg, pitch_deg, roll_deg)
    found = (pose.yaw_deg, pose.pitch_deg, pose.roll_deg)
    np.testing.assert_allclose(found, (yaw_deg, pitch_deg, roll_deg), atol=8)


def test_the_size_of_a_face_does_not_turn_it() -> None:
    np.testing.assert_allclose(_turn(12), _turn(900), atol=0.02)


def _turn(unit: float) -> list[float]:
    pose = _pose(25, 10, -20, unit)
    return [pose.yaw_deg, pose.pitch_deg, pose.roll_deg]


def test_the_turn_takes_the_nose_where_the_head_looks() -> None:
    turn = Pose(40.0, 20.0, 0.0).turn()
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    x, y, z = turn @ [0.0, 0.0, 1.0]
    # Worked by hand: sin 40, sin 20 cos 40, cos 20 cos 40.
    np.testing.assert_allclose([x, y, z], [0.6428, 0.2620, 0.7198], atol=1e-4)
