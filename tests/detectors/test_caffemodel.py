"""Caffe's weight files, encoded here byte by byte after the published wire format, without the library that reads them.

Field numbers are typed in from BVLC/caffe, src/caffe/proto/caffe.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.parts.backbones.caffemodel import CaffeModelError, read_caffemodel

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; a negative int64 takes ten bytes."""
    value &= 2**64 - 1
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, kind: int, payload: bytes) -> bytes:
    length = varint(len(payload)) if kind == BYTES else b""
    return varint(number << 3 | kind) + length + payload


def floats(values: np.ndarray, *, packed: bool = True, double: bool = False) -> bytes:
    number, kind, letter = (8, FIXED64, "<f8") if double else (5, FIXED32, "<f4")
    if packed:
        return field(number, BYTES, values.astype(letter).tobytes())
    return b"".join(field(number, kind, value.tobytes()) for value in values.astype(letter).ravel())


def shape(sides: Iterable[int], *, packed: bool = True) -> bytes:
    dims = [varint(side) for side in sides]
    inner = field(1, BYTES, b"".join(dims)) if packed else b"".join(field(1, VARINT, dim) for dim in dims)
    return field(7, BYTES, inner)


def legacy_shape(sides: Iterable[int]) -> bytes:
    return b"".join(field(number, VARINT, varint(side)) for number, side in enumerate(sides, start=1))


def new_layer(name: str, blobs: Iterable[bytes]) -> bytes:
    inner = field(1, BYTES, name.encode()) + field(2, BYTES, b"Convolution") + field(3, BYTES, b"data")
    return field(100, BYTES, inner + b"".join(field(7, BYTES, blob) for blob in blobs) + field(10, VARINT, varint(1)))


def v1_layer(name: str, blobs: Iterable[bytes]) -> bytes:
    inner = field(2, BYTES, b"data") + field(4, BYTES, name.encode()) + field(5, VARINT, varint(4))
    return field(2, BYTES, inner + b"".join(field(6, BYTES, blob) for blob in blobs) + field(7, FIXED32, bytes(4)))


def v0_layer(name: str, blobs: Iterable[bytes]) -> bytes:
    inner = field(1, BYTES, name.encode()) + field(2, BYTES, b"conv") + field(3, VARINT, varint(96))
    inner += b"".join(field(50, BYTES, blob) for blob in blobs)
    return field(2, BYTES, field(1, BYTES, inner) + field(2, BYTES, b"data"))


LAYERS: dict[str, Callable[[str, Iterable[bytes]], bytes]] = {"new": new_layer, "v1": v1_layer, "v0": v0_layer}
NET_NAME = field(1, BYTES, b"CaffeNet")


def read(tmp_path: Path, content: bytes) -> dict[str, list[torch.Tensor]]:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    return read_caffemodel(path)


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(CaffeModelError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path / "net.caffemodel") in message
    return message


def bits(values: torch.Tensor) -> bytes:
    assert values.dtype == torch.float32
    return values.numpy().tobytes()


@pytest.mark.parametrize("generation", LAYERS)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
def test_every_generation_and_form(tmp_path: Path, generation: str, packed: bool, legacy: bool) -> None:
    """A layer's blobs keep order, shape and bits, whichever version of Caffe wrote them."""
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((4, 3, 2, 5), np.float32), rng.standard_normal(4, np.float32)
    bias_sides = (1, 1, 1, 4) if legacy else (4,)
    make = legacy_shape if legacy else lambda sides: shape(sides, packed=packed)
    blobs = [make((4, 3, 2, 5)) + floats(weight, packed=packed), floats(bias, packed=packed) + make(bias_sides)]
    found = read(tmp_path, NET_NAME + LAYERS[generation]("conv1", blobs) + LAYERS[generation]("relu1", []))
    assert list(found) == ["conv1"]
    assert [tuple(blob.shape) for blob in found["conv1"]] == [(4, 3, 2, 5), bias_sides]
    assert [bits(blob) for blob in found["conv1"]] == [weight.tobytes(), bias.tobytes()]


@pytest.mark.parametrize("packed", [True, False])
def test_doubles_become_floats(tmp_path: Path, packed: bool) -> None:
    """A file saved by a double-precision net is rounded to float32, and beyond its range becomes infinite."""
    values = np.array([0.1, -1e300, 1 / 3, 2.0])
    blob = shape([2, 2]) + floats(values, packed=packed, double=True)
    found = read(tmp_path, new_layer("ip", [blob]))["ip"][0]
    assert found.tolist() == [[float(np.float32(0.1)), -np.inf], [float(np.float32(1 / 3)), 2.0]]


def test_doubles_and_the_older_shape_come_first(tmp_path: Path) -> None:
    """Where a blob has both, Blob::FromProto takes doubles before floats and num/channels/height/width before shape."""
    both = shape([3]) + legacy_shape([1, 1, 2, 1]) + floats(np.zeros(3)) + floats(np.array([4.0, 5.0]), double=True)
    assert read(tmp_path, new_layer("ip", [both]))["ip"][0].tolist() == [[[[4.0], [5.0]]]]


def test_a_packed_field_in_pieces(tmp_path: Path) -> None:
    """Pieces of one repeated field are joined in order, packed or not, as the wire format demands."""
    blob = (
        floats(np.array([1.0, 2.0])) + shape([5]) + floats(np.array([3.0]), packed=False) + floats(np.array([4.0, 5.0]))
    )
    assert read(tmp_path, new_layer("ip", [blob]))["ip"][0].tolist() == [1, 2, 3, 4, 5]


def test_a_blob_without_a_shape_is_one_number(tmp_path: Path) -> None:
    """No axes mean one value, as in Caffe."""
    assert read(tmp_path, new_layer("scale", [floats(np.array([7.0]))]))["scale"][0].shape == ()


def test_result_can_be_changed(tmp_path: Path) -> None:
    """Tensors own their memory: writing to one is allowed and changes no other."""
    blob = shape([2]) + floats(np.array([1.0, 2.0]))
    first, second = read(tmp_path, new_layer("a", [blob, blob]))["a"]
    first.zero_()
    assert second.tolist() == [1, 2]


def test_layers_without_blobs_may_share_a_name(tmp_path: Path) -> None:
    """Training nets have two layers `data`; only names of layers with weights must differ."""
    blob = shape([1]) + floats(np.ones(1))
    found = read(tmp_path, new_layer("data", []) * 2 + new_layer("fc6", [blob]) + v1_layer("fc7", [blob]))
    assert list(found) == ["fc6", "fc7"]
    assert "two layers 'fc6'" in refusal(tmp_path, new_layer("fc6", [blob]) * 2)


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (shape([2, 3]) + floats(np.ones(5)), "its shape [2, 3] needs 6 values, and there are 5"),
        (legacy_shape([1, 1, 2, 3]) + floats(np.ones(7)), "its shape [1, 1, 2, 3] needs 6 values, and there are 7"),
        (field(1, VARINT, varint(3)) + floats(np.ones(3)), "got shape [3, 0, 0, 0]"),
        (shape([2, 3]), "needs 6 values, and there are 0"),
        (shape([-2, -3]) + floats(np.ones(6)), "got shape [-2, -3]"),
        (shape([0, 2**62, 2**62]), "expected sides of 1 or more"),
        (shape([2**62, 2**62]) + floats(np.ones(6)), "and there are 6"),
        (shape([1] * 70) + floats(np.ones(1)), "expected at most 32 axes, got 70"),
    ],
)
def test_shape_and_values_that_disagree(tmp_path: Path, blob: bytes, words: str) -> None:
    """A blob that its values do not fill is refused by layer, place and numbers, before memory is asked for."""
    message = refusal(tmp_path, new_layer("conv2", [shape([1]) + floats(np.ones(1)), blob]))
    assert "blob 1 of layer 'conv2'" in message
    assert words in message


PROTOTXT = b'# trained by hand\nname: "CaffeNet"\nlayer {\n  name: "conv1"\n  type: "Convolution"\n}\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (PROTOTXT, "it is a prototxt"),
        (b"layers {\n  layer {\n name: 'conv1' } }", "it is a prototxt"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "it is HDF5"),
        (NET_NAME, "no layer in it has weights"),
        (new_layer("relu1", []), "no layer in it has weights"),
        (b"PK\x03\x04" + bytes(range(256)), "it is cut off or something else"),
        (new_layer("conv1", [shape([9]) + floats(np.ones(9))])[:-7], "it is cut off or something else"),
        (field(100, BYTES, field(1, BYTES, b"\xff\xfe") + field(7, BYTES, b"")), "name is no text"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, words: str) -> None:
    """What is no Caffe model is refused in one line that says what it is instead."""
    assert words in refusal(tmp_path, content)


def test_no_such_file(tmp_path: Path) -> None:
    """A missing file and a folder are named."""
    for path in (tmp_path / "absent.caffemodel", tmp_path):
        with pytest.raises(CaffeModelError, match="no Caffe model"):
            read_caffemodel(path)


_SIDES = st.lists(st.integers(1, 3), max_size=4)


@st.composite
def _blobs(draw: st.DrawFn) -> tuple[bytes, tuple[int, ...], bytes]:
    """Encoded blob, its shape and its values' bits."""
    sides = tuple(draw(_SIDES))
    legacy = len(sides) == 4 and draw(st.booleans())
    count = int(np.prod(sides, dtype=int))
    values = np.frombuffer(draw(st.binary(min_size=4 * count, max_size=4 * count)), "<f4").copy()
    values[np.isnan(values)] = np.inf  # the payload of a NaN is nothing that protobuf promises to keep
    parts = [
        legacy_shape(sides) if legacy else shape(sides, packed=draw(st.booleans())),
        floats(values, packed=draw(st.booleans()), double=draw(st.booleans())),
        field(6, BYTES, bytes(8)),
    ]
    return b"".join(draw(st.permutations(parts))), sides, values.tobytes()


_NETS = st.dictionaries(
    st.text(max_size=6), st.tuples(st.sampled_from(["new", "v1", "v0"]), st.lists(_blobs(), max_size=3))
)
_IN_ONE_FOLDER = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_IN_ONE_FOLDER
@given(net=_NETS)
def test_round_trip(tmp_path: Path, net: dict[str, tuple[str, list[tuple[bytes, tuple[int, ...], bytes]]]]) -> None:
    """Whatever net is encoded comes back to the bit, less the layers without blobs."""
    wanted = {name: blobs for name, (_, blobs) in net.items() if blobs}
    content = b"".join(LAYERS[kind](name, [blob for blob, _, _ in blobs]) for name, (kind, blobs) in net.items())
    if not wanted:
        refusal(tmp_path, content)
        return
    found = read(tmp_path, content)
    assert found.keys() == wanted.keys()
    for name, blobs in wanted.items():
        assert [(tuple(one.shape), bits(one)) for one in found[name]] == [(sides, raw) for _, sides, raw in blobs]


def read_or_refuse(tmp_path: Path, content: bytes) -> dict[str, list[torch.Tensor]] | None:
    """The net, or None where the file was refused as it should be; any other exception fails the test."""
    refused = ""
    try:
        return read(tmp_path, content)
    except CaffeModelError as error:
        refused = str(error)
    assert refused
    assert "\n" not in refused
    return None


@_IN_ONE_FOLDER
@given(content=st.binary(max_size=300))
def test_random_bytes(tmp_path: Path, content: bytes) -> None:
    """Garbage is refused in one line or happens to be a net; nothing else is raised."""
    found = read_or_refuse(tmp_path, content)
    assert found is None or found


_WHOLE = NET_NAME + b"".join(
    make(name, [shape([2, 3]) + floats(np.arange(6.0)), legacy_shape([1, 1, 1, 2]) + floats(np.ones(2), double=True)])
    for name, make in LAYERS.items()
)


@_IN_ONE_FOLDER
@given(at=st.integers(0, len(_WHOLE) - 1), change=st.none() | st.integers(0, 255))
def test_cut_or_changed_files(tmp_path: Path, at: int, change: int | None) -> None:
    """A file that was cut off or has a wrong byte is refused or read as the net that it now is; nothing crashes."""
    content = _WHOLE[:at] if change is None else _WHOLE[:at] + bytes([change]) + _WHOLE[at + 1 :]
    found = read_or_refuse(tmp_path, content)
    assert found is None or all(blob.dtype == torch.float32 for blobs in found.values() for blob in blobs)
