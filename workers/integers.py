"""Graphs that compute with 8-bit integers: the numbers of ONNX Runtime's own quantiser, in a tenth of its time.

That one works channel by channel in Python (1.2 s for CenterFace), which every first run on a machine would wait for.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from workers.onnx_runtime import load_quantization
from workers.precision import opset_of

Ranges: TypeAlias = Mapping[str, tuple[float, float]]
"""Value of a graph → the least and the greatest number in it."""

_LEAST_OPSET = 11
"""The first operator set whose QLinearConv has a scale for each channel."""
_WEIGHT_LIMIT = 64
"""Weights have 7 bits: AVX2 sums two products of 8 and 8 bits in 16, and 2 × 255 × 64 fits there."""


def measured_ranges(graph: bytes, samples: Iterable[npt.NDArray[np.float32]]) -> Ranges:
    """Run a graph on samples and return the range of what convolutions, rectifiers and sums read and write.

    Args:
        graph: one with one float32 input, as `workers.sessions.optimised_graph` with `portable` makes it.
        samples: inputs that stand for what the network will see.
    """
    import onnx

    quantization = load_quantization()
    model = onnx.load_model_from_string(graph)
    name = model.graph.input[0].name
    reader: Any = quantization.CalibrationDataReader

    class Samples(reader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self._left, None)
            return None if sample is None else {name: sample}

    with tempfile.TemporaryDirectory(prefix="maskmill-ranges-") as folder:
        written = Path(folder) / "floats.onnx"
        written.write_bytes(graph)
        calibrator = quantization.calibrate.create_calibrator(
            written, ["Conv", "Relu", "Add"], augmented_model_path=str(Path(folder) / "measuring.onnx")
        )
        calibrator.collect_data(Samples())
        found = calibrator.compute_data().data
    return {name: (float(np.min(one.lowest)), float(np.max(one.highest))) for name, one in found.items()}


def byte_graph(graph: bytes, ranges: Ranges, *, float_convolutions: Collection[int] = ()) -> bytes:
    """Return a graph whose convolutions and sums work on 8-bit integers; all else stays floats.

    Weights have a scale for each channel and no offset, activations one scale and one offset each.

    Args:
        graph: one with one float32 input, as `workers.sessions.optimised_graph` with `portable` makes it.
        ranges: of every activation that becomes integers.
        float_convolutions: those that stay as they are, by their place among the convolutions.

    Raises:
        KeyError: an activation has no range.
    """
    import onnx
    from onnx import version_converter

    model = onnx.load_model_from_string(graph)
    if opset_of(model) < _LEAST_OPSET:
        # The converter asks for the rank of each output.
        del model.graph.value_info[:]
        model = version_converter.convert_version(onnx.shape_inference.infer_shapes(model), _LEAST_OPSET)
    writer = _Writer(model.graph, ranges)
    behind = {node.input[0]: node for node in model.graph.node if node.op_type == "Relu"}
    place, drawn_in = -1, set[str]()
    for node in model.graph.node:
        place += node.op_type == "Conv"
        is_sum = node.op_type == "Add" and not writer.constants.keys() & {*node.input}
        is_convolution = node.op_type == "Conv" and {*node.input[1:]} <= writer.constants.keys()
        if node.output[0] in drawn_in:
            continue
        if is_sum or (is_convolution and place not in float_convolutions):
            relu = behind.get(node.output[0])
            if relu is not None and writer.readers[node.output[0]] == 1:
                # A range from zero upwards cuts off what a rectifier would.
                drawn_in.add(relu.output[0])
                writer.write_bytes(node, relu.output[0])
            else:
                writer.write_bytes(node, node.output[0])
        else:
            writer.write_floats(node)
    writer.finish(model)
    return bytes(model.SerializeToString())


class _Writer:
    """Writes the nodes of a graph anew; each value is floats, integers or both, as its readers want it."""

    def __init__(self, graph: Any, ranges: Ranges) -> None:
        from onnx import numpy_helper

        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._ends = [value.name for value in graph.output]
        self.readers = Counter([*(name for node in graph.node for name in node.input), *self._ends])
        self._ranges = ranges
        self._nodes: list[Any] = []
        self._made: dict[str, npt.NDArray[Any]] = {}
        self._floats = {*self.constants, *(value.name for value in graph.input)}
        self._bytes: set[str] = set()

    def write_floats(self, node: Any) -> None:
        """Write a node as it is, behind what makes floats of its inputs."""
        for name in node.input:
            self._want_floats(name)
        self._nodes.append(node)
        self._floats.update(node.output)

    def write_bytes(self, node: Any, output: str) -> None:
        """Write a sum or a convolution on integers, under the name of its output or of the rectifier behind it."""
        from onnx import helper

        values = node.input if node.op_type == "Add" else node.input[:1]
        before = [one for name in values for one in self._want_bytes(name)]
        after = [*self._steps_of(output)]
        if node.op_type == "Add":
            made = helper.make_node(
                "QLinearAdd", [*before, *after], [_packed(output)], domain="com.microsoft"
            )
        else:
            weights = self._write_weights(node, before[1])
            made = helper.make_node(
                "QLinearConv", [*before, *weights[:3], *after, *weights[3:]], [_packed(output)]
            )
            made.attribute.extend(node.attribute)
        self._nodes.append(made)
        self._bytes.add(output)

    def finish(self, model: Any) -> None:
        """Put what was written into the model."""
        from onnx import helper, numpy_helper

        for name in self._ends:
            self._want_floats(name)
        graph = model.graph
        read = {name for node in self._nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(kept)
        graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in self._made.items())
        if "com.microsoft" not in {one.domain for one in model.opset_import}:
            model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    def _want_floats(self, name: str) -> None:
        from onnx import helper

        if name in self._bytes and name not in self._floats:
            steps = self._steps_of(name)
            self._nodes.append(helper.make_node("DequantizeLinear", [_packed(name), *steps], [name]))
            self._floats.add(name)

    def _want_bytes(self, name: str) -> tuple[str, str, str]:
        from onnx import helper

        scale, zero = self._steps_of(name)
        if name not in self._bytes:
            self._nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [_packed(name)]))
            self._bytes.add(name)
        return _packed(name), scale, zero

    def _steps_of(self, name: str) -> tuple[str, str]:
        """The names of an activation's scale and of the integer that stands for zero."""
        scale_name, zero_name = f"{name}_scale", f"{name}_zero"
        if scale_name not in self._made:
            low, high = (float(np.float32(one)) for one in self._ranges[name])
            low, high = min(low, 0.0), max(high, 0.0)
            scale = (high - low) / 255
            if scale < np.finfo(np.float32).tiny:
                scale, low = 1.0, 0.0
            self._made[scale_name] = np.array(scale, np.float32)
            self._made[zero_name] = np.array(np.round(-low / scale), np.uint8)
        return scale_name, zero_name

    def _write_weights(self, node: Any, scale_name: str) -> list[str]:
        """The names of a convolution's weights as integers, their scales, their zeros and its bias."""
        weights = self.constants[node.input[1]].astype(np.float32)
        flat = weights.reshape(len(weights), -1)
        limit = np.abs(flat).max(axis=1).astype(np.float64)
        scales = np.where(limit < np.finfo(np.float32).tiny, 1.0, limit / _WEIGHT_LIMIT).astype(np.float32)
        names = [f"{node.output[0]}_weights", f"{node.output[0]}_scales", f"{node.output[0]}_zeros"]
        self._made[names[0]] = np.round(flat / scales[:, None]).astype(np.int8).reshape(weights.shape)
        self._made[names[1]] = scales
        self._made[names[2]] = np.zeros(len(weights), np.int8)
        if len(node.input) > 2:
            names.append(f"{node.output[0]}_bias")
            steps = (self._made[scale_name] * scales).astype(np.float64)
            bias = np.round(self.constants[node.input[2]].astype(np.float64) / steps)
            limits = np.iinfo(np.int32)
            self._made[names[3]] = np.clip(bias, limits.min, limits.max).astype(np.int32)
        return names


def _packed(name: str) -> str:
    """What a value is called as integers."""
    return f"{name}_bytes"
