"""Other forms of a network's graph: 16-bit floats and pixels for GPUs, joined heads for CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from common.errors import UnfitError

_HALF_OPS = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "ConvTranspose", "GlobalAveragePool"),
        *("Identity", "LeakyRelu", "MaxPool", "Mul", "PRelu", "Relu", "Sigmoid", "Softmax", "Transpose"),
    }
)
"""Operators whose numbers may all be 16-bit floats: none of them takes sizes or scales as floats."""
# From this operator set on `Split` takes its sizes as an input.
_SPLIT_BY_INPUT = 13


def half_graph(graph: bytes, label: str) -> bytes:
    """Return a graph that computes in float16, with the inputs and outputs of the given one.

    Args:
        graph: one with float32 inputs and outputs.
        label: what messages call it.

    Raises:
        UnfitError: an operator that is not known to work so.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(graph)
    strange = sorted({node.op_type for node in model.graph.node} - _HALF_OPS)
    if strange:
        raise UnfitError(
            f"{label} has operators that are not run in 16 bits here ({', '.join(strange)}); "
            "use --detector-precision fp32"
        )
    limits = np.finfo(np.float16)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            numbers = np.clip(numpy_helper.to_array(tensor), limits.min, limits.max)
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), tensor.name))
    del model.graph.value_info[:]
    before, after, inside = [], [], {}
    for value in model.graph.input:
        inside[value.name] = f"{value.name}_half"
        before.append(helper.make_node("Cast", [value.name], [inside[value.name]], to=TensorProto.FLOAT16))
    for value in model.graph.output:
        inside[value.name] = f"{value.name}_half"
        after.append(helper.make_node("Cast", [inside[value.name]], [value.name], to=TensorProto.FLOAT))
    _rename(model.graph, inside)
    _put_nodes(model.graph, [*before, *model.graph.node, *after])
    return bytes(model.SerializeToString())


def pixel_graph(graph: bytes) -> bytes:
    """Return a graph whose input is [n, H, W, 3] uint8 BGR instead of [n, 3, H, W] float32 RGB, 0–255.

    A quarter of the bytes go to the device, and the planes are made there. The numbers are the same.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(graph)
    value = model.graph.input[0]
    planes, turned, numbers = f"{value.name}_planes", f"{value.name}_rgb", f"{value.name}_numbers"
    order = numpy_helper.from_array(np.array([2, 1, 0], np.int64), f"{value.name}_order")
    model.graph.initializer.append(order)
    first = [
        helper.make_node("Transpose", [value.name], [planes], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", [planes, order.name], [turned], axis=1),
        helper.make_node("Cast", [turned], [numbers], to=TensorProto.FLOAT),
    ]
    _rename(model.graph, {value.name: numbers})
    _put_nodes(model.graph, [*first, *model.graph.node])
    sides = [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
    shape = [sides[0], sides[2], sides[3], 3]
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, shape))
    return bytes(model.SerializeToString())


def joined_heads(graph: bytes) -> bytes:
    """Return a graph in which the 1×1 convolutions at its end that read the same value are one, whose answer is split.

    A CPU computes channels by eights or sixteens: heads of 1, 2, 2 and 10 cost it 40 or 64. On x86-64 the numbers are
    the same to the bit. A graph without such convolutions is returned as it is.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_model_from_string(graph)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    of_source: dict[str, list[Any]] = {}
    for node in model.graph.node:
        if _is_head(node, model.graph, constants):
            of_source.setdefault(node.input[0], []).append(node)
    for source, heads in of_source.items():
        if len(heads) < 2:
            continue
        joined, sizes = f"{source}_heads", [constants[head.input[1]].dims[0] for head in heads]
        names = [f"{joined}_weights", f"{joined}_biases"]
        for place, name in enumerate(names, 1):
            together = np.concatenate([numpy_helper.to_array(constants[head.input[place]]) for head in heads])
            model.graph.initializer.append(numpy_helper.from_array(together, name))
        convolution = helper.make_node("Conv", [source, *names], [joined], kernel_shape=[1, 1])
        split = helper.make_node("Split", [joined], [head.output[0] for head in heads], axis=1)
        if opset_of(model) < _SPLIT_BY_INPUT:
            split.attribute.append(helper.make_attribute("split", sizes))
        else:
            split.input.append(f"{joined}_sizes")
            model.graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), split.input[1]))
        first = next(place for place, node in enumerate(model.graph.node) if node in heads)
        rest = [node for node in model.graph.node if node not in heads]
        _put_nodes(model.graph, [*rest[:first], convolution, split, *rest[first:]])
    return bytes(model.SerializeToString())


def _is_head(node: Any, graph: Any, constants: Mapping[str, Any]) -> bool:
    """Tell whether a node is a plain 1×1 convolution with a bias, behind which at most one more node comes."""
    from onnx import helper

    if node.op_type != "Conv" or len(node.input) != 3 or not {*node.input[1:]} <= constants.keys():
        return False
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    plain = {"group": 1, "strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
    is_plain = all(given.get(key, one) == one for key, one in plain.items())
    if constants[node.input[1]].dims[2:] != [1, 1] or not is_plain:
        return False
    ends = {value.name for value in graph.output}
    behind = [one for one in graph.node if node.output[0] in one.input]
    return all(set(one.output) <= ends for one in behind) and bool(behind or node.output[0] in ends)


def opset_of(model: Any) -> int:
    """The version of the standard operators, whose domain has two names."""
    return int(next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")))


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Let nodes read and write other values."""
    for node in graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                values[place] = names.get(value, value)


def _put_nodes(graph: Any, nodes: Iterable[Any]) -> None:
    ordered = list(nodes)
    del graph.node[:]
    graph.node.extend(ordered)
