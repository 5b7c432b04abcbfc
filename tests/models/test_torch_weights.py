"""Tests torch files: the layout of tensors, and hostile files."""

import os
import pickle
import struct

import numpy as np
import pytest

from fashion_gan.models.torch_weights import read_tensors

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
VALUES = np.arange(12, dtype="<f4")


def op_text(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def op_int(number):
    return b"J" + struct.pack("<i", number)


def op_tuple(*items):
    return b"(" + b"".join(items) + b"t"


def op_storage(key="0", kind="FloatStorage", count=12):
    name = f"ctorch\n{kind}\n".encode()
    return (
        op_tuple(op_text("storage"), name, op_text(key), op_text("cpu"), op_int(count), b"N") + b"Q"
    )


def op_tensor(storage=None, offset=0, shape=(3, 4), strides=(4, 1)):
    hooks = b"ccollections\nOrderedDict\n)R"
    sizes = (op_tuple(*map(op_int, numbers)) for numbers in (shape, strides))
    call = op_tuple(storage or op_storage(), op_int(offset), *sizes, b"\x89", hooks)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + call + b"R"


def op_dict(**tensors):
    items = b"".join(op_text(name) + tensor for name, tensor in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def torch_file(body=None, keys=("0",), counts=None, values=(VALUES,), magic=0x1950A86A20F9469CFC6C):
    """Returns a file as torch wrote it before version 1.6."""
    head = [pickle.dumps(value, 2) for value in (magic, 1001, SYSTEM)]
    body = op_dict(weight=op_tensor()) if body is None else body
    counts = [len(value) for value in values] if counts is None else counts
    raw = [struct.pack("<q", n) + v.tobytes() for n, v in zip(counts, values, strict=True)]
    return b"".join([*head, body, pickle.dumps(list(keys), 2), *raw])


def test_read_tensors_returns_arrays_by_name():
    more = op_tensor(op_storage("1", "LongStorage", 1), shape=(), strides=())
    content = torch_file(
        op_dict(weight=op_tensor(), count=more), ("1", "0"), values=(np.array([7], "<i8"), VALUES)
    )
    arrays = read_tensors(content)
    assert list(arrays) == ["weight", "count"]
    np.testing.assert_array_equal(arrays["weight"], VALUES.reshape(3, 4))
    assert arrays["count"] == 7 and arrays["count"].dtype == np.int64


def test_read_tensors_follows_offset_and_strides():
    body = op_dict(weight=op_tensor(offset=1, shape=(2, 3), strides=(1, 4)))
    array = read_tensors(torch_file(body))["weight"]
    np.testing.assert_array_equal(array, [[1, 5, 9], [2, 6, 10]])
    assert array.flags.c_contiguous and array.flags.owndata


class Payload:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["body", "magic", "keys"])
@pytest.mark.parametrize(
    "function, arguments",
    [(os.system, ("touch {}",)), (eval, ("open('{}', 'w').close()",)), (os.mkdir, ("{}",))],
    ids=["system", "eval", "mkdir"],
)
def test_read_tensors_runs_no_code_of_a_malicious_file(place, function, arguments, tmp_path):
    trace = tmp_path / "trace"
    payload = Payload(function, *(text.format(trace) for text in arguments))
    content = {
        "body": torch_file(pickle.dumps({"weight": payload}, 2)),
        "magic": torch_file(magic=payload),
        "keys": torch_file(keys=[payload]),
    }[place]
    with pytest.raises(ValueError, match="the name .*(system|eval|mkdir)") as caught:
        read_tensors(content)
    assert not trace.exists()
    assert "\n" not in str(caught.value)
    pickle.loads(pickle.dumps({"weight": payload}, 2))
    assert trace.exists(), "the payload works where a pickle is run"


HOSTILE = {
    "a name with an escape sequence": b"\x80\x02cos\n\x1b[31m\n.",
    "an instruction of a later protocol": b"\x80\x02\x8c\x02os\x8c\x06system\x93.",
    "an instance": b"\x80\x02(ios\nsystem\n.",
    "an object": b"\x80\x02ctorch\nFloatStorage\n)\x81.",
    "an extension": b"\x80\x02\x82\x01.",
    "a call of a text": b"\x80\x02" + op_text("os.system") + b")R.",
    "a call of a storage": b"\x80\x02ctorch\nFloatStorage\n)R.",
    "the state of a tensor": b"\x80\x02" + op_tensor() + b"}b.",
    "a missing memo": b"\x80\x02h\x05.",
    "an empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02t.",
    "a tuple of nothing": b"\x80\x02\x87.",
    "a huge text": b"\x80\x02X\xff\xff\xff\xffab",
    "a text that is no UTF-8": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "a name without an end": b"\x80\x02c" + b"a" * 5000,
    "keys that are no text": b"\x80\x02}(K\x01K\x02u.",
    "a key without a value": b"\x80\x02}(" + op_text("a") + b"u.",
    "a list": b"\x80\x02].",
    "a number for a tensor": op_dict(weight=b"K\x01"),
    "a shape of texts": op_dict(weight=op_tensor().replace(op_int(3), op_text("3"))),
    "a file in a file": b"\x80\x02" + op_tuple(op_text("module")) + b"Q.",
}
SIZES = {
    "a tensor that is too large": dict(shape=(4, 4)),
    "a tensor behind the end": dict(offset=1),
    "a negative offset": dict(offset=-1),
    "a negative stride": dict(strides=(-4, 1)),
    "a negative size": dict(shape=(-3, 4)),
    "an empty tensor": dict(shape=(0, 4)),
    "wide strides": dict(strides=(5, 1)),
    "a number that is repeated": dict(shape=(2**30, 4), strides=(0, 1)),
    "fewer strides": dict(strides=(4,)),
    "many axes": dict(shape=(1,) * 65, strides=(1,) * 65),
    "a count above the file": dict(storage=op_storage(count=13)),
    "a negative count": dict(storage=op_storage(count=-1)),
    "other numbers": dict(storage=op_storage(kind="DoubleStorage")),
    "another key": dict(storage=op_storage("1")),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_read_tensors_raises_a_one_line_error_for_other_objects(body):
    with pytest.raises(
        ValueError, match="Expected a torch file that holds only tensors. Received: "
    ) as e:
        read_tensors(torch_file(body))
    assert str(e.value).isprintable() and len(str(e.value)) < 250


@pytest.mark.parametrize("changes", SIZES.values(), ids=SIZES)
def test_read_tensors_raises_for_wrong_sizes(changes):
    with pytest.raises(
        ValueError, match="Expected a torch file that holds only tensors. Received: "
    ):
        read_tensors(torch_file(op_dict(weight=op_tensor(**changes))))


def test_read_tensors_uses_no_more_memory_than_the_file():
    def views(number):  # each of all 1,000 numbers of one storage
        tensor = op_tensor(op_storage(count=1000), shape=(1000,), strides=(1,))
        body = op_dict(**{f"weight{i}": tensor for i in range(number)})
        return torch_file(body, values=(np.zeros(1000, "<f4"),))

    assert len(read_tensors(views(1))) == 1
    with pytest.raises(ValueError, match="tensors that are larger than the file"):
        read_tensors(views(50))


def test_read_tensors_raises_at_every_length_of_a_truncated_file():
    content = torch_file()
    for length in range(len(content)):
        with pytest.raises(
            ValueError, match="Expected a torch file that holds only tensors. Received: "
        ):
            read_tensors(content[:length])
    assert read_tensors(content)


def test_read_tensors_raises_for_bytes_after_the_last_tensor():
    with pytest.raises(ValueError, match="1 bytes behind"):
        read_tensors(torch_file() + b"\x00")


@pytest.mark.parametrize("seed", range(3))
def test_read_tensors_raises_only_value_errors_for_damaged_bytes(seed):
    content, rng = torch_file(), np.random.default_rng(seed)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            read_tensors(bytes(damaged))
        except ValueError as error:
            assert str(error).startswith("Expected a torch file that holds only tensors.")
