"""An embedder made here: the mean colour of the face. People of different tints are different people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def write_tint_embedder(path: Path, *, side: object = 112, layout: str = "nchw", **description: Any) -> Path:
    """Write `path` and the description beside it; fields of None are left out."""
    shape, axes = ([1, 3, side, side], [2, 3]) if layout == "nchw" else ([1, side, side, 3], [1, 2])
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["face", "axes"], ["tint"], keepdims=0)],
        "tint",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("tint", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], axes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    told = {"name": "tint", "mean": 0, "scale": 255, "threshold": 0.05, "layout": layout, **description}
    told.setdefault("side", side if isinstance(side, int) else 112)
    path.with_suffix(".json").write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
    return path
