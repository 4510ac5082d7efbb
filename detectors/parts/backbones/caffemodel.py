"""Weights in Caffe's own file, ``.caffemodel``: a NetParameter message in protobuf's binary form.

The few messages and fields that lead to weights are described here with their numbers in caffe.proto (BVLC/caffe,
src/caffe/proto); protobuf skips all others. Caffe wrote three generations of layers, and files of each are about.
Which blob is a weight and which a bias, and how a kernel lies in it, is for the network to know that takes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["CaffeModelError", "read_caffemodel"]

_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "BlobShape": {"dim": (1, "int64*")},
    "BlobProto": {
        "num": (1, "int64"),
        "channels": (2, "int64"),
        "height": (3, "int64"),
        "width": (4, "int64"),
        "data": (5, "float*"),
        "shape": (7, "BlobShape"),
        "double_data": (8, "double*"),
    },
    "LayerParameter": {"name": (1, "bytes"), "blobs": (7, "BlobProto*")},
    "V0LayerParameter": {"name": (1, "bytes"), "blobs": (50, "BlobProto*")},
    "V1LayerParameter": {"layer": (1, "V0LayerParameter"), "name": (4, "bytes"), "blobs": (6, "BlobProto*")},
    "NetParameter": {"layers": (2, "V1LayerParameter*"), "layer": (100, "LayerParameter*")},
}
"""Number and type of each field that is read, by message; * stands for repeated. Names are read as bytes, because a
string that is no UTF-8 fails in its own way in each version of protobuf."""

_LEGACY_SIDES = ("num", "channels", "height", "width")
_MOST_AXES = 32
"""Most axes of a blob: kMaxBlobAxes of caffe/blob.hpp. Also keeps a hostile file from axes that NumPy cannot count."""
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PROTOTXT = re.compile(
    rb"^\s*(?:(?:name|input|input_dim|net|base_lr)\s*:|(?:layers?|input_shape)\s*:?\s*\{)", re.MULTILINE
)


class CaffeModelError(ValueError):
    """A file does not hold the weights of a Caffe network; the message is one line."""


def read_caffemodel(path: Path) -> dict[str, list[torch.Tensor]]:
    """Read the blobs of every layer that has any, by the layer's name, in the order of the file.

    Each blob is float32 on the CPU in the shape that the file states; one of the older form has always four axes
    (num, channels, height, width), so the bias of 64 filters is (1, 1, 1, 64) there and (64,) in the newer.
    Takes about twice the file's size in memory, half of it for the result.

    Raises:
        CaffeModelError: no such file, a file that is cut off or something else, values that do not fill the shape of
            their blob, or two layers with blobs under one name.
    """
    found: dict[str, list[torch.Tensor]] = {}
    for name, blobs in _layers(_parse(path), path):
        if name in found:
            raise CaffeModelError(f"Caffe model {path} has two layers {name!r} with weights; names must differ")
        found[name] = [_tensor(blob, f"blob {index} of layer {name!r} in {path}") for index, blob in enumerate(blobs)]
    if not found:
        raise _foreign(path, "no layer in it has weights")
    return found


@lru_cache(maxsize=1)
def _net_parameter() -> Any:
    """The class of NetParameter messages, made from `_FIELDS` in a pool of its own, beside any other caffe.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            many, kind = kind.endswith("*"), kind.rstrip("*")
            label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
            if kind in _FIELDS:
                described.field.add(
                    name=name, number=number, label=label, type_name=f".caffe.{kind}", type=field.TYPE_MESSAGE
                )
            else:
                described.field.add(name=name, number=number, label=label, type=getattr(field, f"TYPE_{kind.upper()}"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def _parse(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise CaffeModelError(f"no Caffe model {path}")
    try:
        # The bytes are let go here: what protobuf made of them is a copy.
        return _net_parameter().FromString(path.read_bytes())
    except OSError as error:
        raise CaffeModelError(f"Caffe model {path} cannot be read: {error.strerror}") from None
    except DecodeError:
        raise _foreign(path, "it is cut off or something else") from None


def _foreign(path: Path, otherwise: str) -> CaffeModelError:
    """Say what a file is instead of a Caffe model, as far as its beginning tells."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        reason = "it is empty"
    elif start.startswith(_HDF5_SIGNATURE):
        reason = "it is HDF5; save it from Caffe as binary protobuf"
    elif b"\0" not in start and _PROTOTXT.search(start):
        reason = "it is a prototxt, which describes layers and holds no weights; give the .caffemodel"
    else:
        reason = otherwise
    return CaffeModelError(f"{path} is no Caffe model: {reason}")


def _layers(net: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Name and blobs of each layer that has blobs, of all three generations."""
    older = [outer.layer if outer.HasField("layer") else outer for outer in net.layers]
    for layer in (*net.layer, *older):
        if layer.blobs:
            try:
                name = layer.name.decode()
            except UnicodeDecodeError:
                raise _foreign(path, f"a layer's name is no text: {layer.name!r}") from None
            yield name, layer.blobs


def _tensor(blob: Any, where: str) -> torch.Tensor:
    """Values and shape of one blob, by the rules of Blob::FromProto: doubles before floats, the older shape first."""
    if any(blob.HasField(side) for side in _LEGACY_SIDES):
        shape = tuple(getattr(blob, side) for side in _LEGACY_SIDES)
    else:
        shape = tuple(blob.shape.dim)
    values = blob.double_data or blob.data
    if len(shape) > _MOST_AXES:
        raise CaffeModelError(f"{where}: expected at most {_MOST_AXES} axes, got {len(shape)}")
    if any(side < 1 for side in shape):
        raise CaffeModelError(f"{where}: expected sides of 1 or more, got shape {list(shape)}")
    if len(values) != math.prod(shape):
        raise CaffeModelError(
            f"{where}: its shape {list(shape)} needs {math.prod(shape)} values, and there are {len(values)}"
        )
    # A repeated field gives NumPy its buffer since protobuf 7.34, 50 times as fast as value by value before.
    # A double beyond float32 becomes infinite, as in Caffe.
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.array(values, np.float32).reshape(shape))
