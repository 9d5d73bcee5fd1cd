"""Small ONNX networks with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_answers(
    path: Path, outputs: dict[str, npt.NDArray[Any]], inputs: dict[str, list[Any]], echo: str | None = None
) -> Path:
    """Write a network that answers the same whatever it sees.

    Args:
        echo: the name of one more output: the sum of the input's numbers over all but the first axis.
    """
    nodes, constants = [], []
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value, f"{name}_constant"))
        nodes.append(helper.make_node("Identity", [f"{name}_constant"], [name]))
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in outputs.items()
    ]
    if echo is not None:
        constants.append(numpy_helper.from_array(np.array([1, 2, 3]), "axes"))
        nodes.append(helper.make_node("ReduceSum", [next(iter(inputs)), "axes"], [echo], keepdims=0))
        infos.append(helper.make_tensor_value_info(echo, TensorProto.FLOAT, [None]))
    graph = helper.make_graph(
        nodes,
        "answers",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        infos,
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
