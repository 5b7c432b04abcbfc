"""Reads the tensors of a legacy torch file without torch and without running code in the file.

Such a file holds five pickles and the bytes of the tensors. A pickle is a program for a stack
machine that may call any function. `read_tensors` implements only the instructions that tensors
need, without imports, attributes or calls. Each torch constructor becomes a plain tuple.
"""

import enum
import math
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from fashion_gan.registry import printable

__all__ = ["read_tensors"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_DIMS = 8


class _Constructor(enum.Enum):
    """Lists the names that a pickle of tensors may contain, none of which is imported."""

    ORDERED_DICT = "collections.OrderedDict"
    TENSOR = "torch._utils._rebuild_tensor_v2"
    FLOATS = "torch.FloatStorage"
    INTEGERS = "torch.LongStorage"


_DTYPES: dict[_Constructor, np.dtype[Any]] = {
    _Constructor.FLOATS: np.dtype("<f4"),
    _Constructor.INTEGERS: np.dtype("<i8"),
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Reads the tensors of a torch file in the format before torch 1.6.

    Offsets, strides and sizes are checked before memory is allocated, so that the arrays take no
    more bytes than the file.

    Args:
        content: Content of the file, a state dict of float32 and int64 tensors.

    Returns:
        C-contiguous arrays by name, with their axes in torch's order.

    Raises:
        ValueError: If the file is damaged or holds anything else. No code in it runs.
    """
    machine = _Machine(content)
    magic, protocol, system = machine.run(), machine.run(), machine.run()
    if magic != _MAGIC or protocol != _PROTOCOL:
        _fail("another format")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        _fail("numbers that are not little-endian")
    tensors, keys = machine.run(), machine.run()
    if not isinstance(tensors, dict) or not isinstance(keys, list):
        _fail("no dict of tensors")
    buffers = _read_storages(machine, keys)
    remaining, arrays = len(content), {}
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
        dtype = tensor.storage.dtype
        remaining -= math.prod(tensor.shape) * dtype.itemsize
        if remaining < 0:
            _fail("tensors that are larger than the file")
        arrays[name] = np.ndarray(
            tensor.shape,
            dtype,
            buffers[tensor.storage.key],
            tensor.offset * dtype.itemsize,
            [stride * dtype.itemsize for stride in tensor.strides],
        ).copy()
    return arrays


def _read_storages(machine: "_Machine", keys: list[Any]) -> dict[str, bytes]:
    """Reads the bytes after the pickles: for each key, a count and that many numbers."""
    declared = machine.storages
    if not all(type(key) is str for key in keys) or sorted(keys) != sorted(declared):
        _fail("other storages than its tensors need")
    buffers = {}
    for key in keys:
        (count,) = struct.unpack("<q", machine.take(8))
        if count != declared[key].size:
            _fail(f"a storage of {count} numbers instead of {declared[key].size}")
        buffers[key] = machine.take(count * declared[key].dtype.itemsize)
    if machine.position != len(machine.content):
        _fail(f"{len(machine.content) - machine.position} bytes behind the last tensor")
    return buffers


def _check_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, _Tensor):
        _fail(f"no tensor by the name {printable(name)[:60]}")
    shape, strides, count = tensor.shape, tensor.strides, tensor.storage.size
    if len(shape) != len(strides) or len(shape) > _MAX_DIMS:
        _fail(f"a tensor of {len(shape)} axes with {len(strides)} strides")
    if tensor.offset < 0 or min(shape, default=1) < 1 or min(strides, default=0) < 0:
        _fail("a negative offset or stride, or an empty tensor")
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if tensor.offset + last >= count:
        _fail("a tensor that is larger than its storage")


@dataclass
class _Machine:
    """Interprets the pickles in a file, limited to instructions that build plain values.

    Attributes:
        content: Content of the file.
        position: Number of bytes read so far.
        storages: Storages that the tensors refer to, by key.
    """

    content: bytes
    position: int = 0
    storages: dict[str, _Storage] = field(default_factory=dict)

    def take(self, count: int) -> bytes:
        """Reads the next `count` bytes."""
        if not 0 <= count <= len(self.content) - self.position:
            _fail("a file that ends too early")
        self.position += count
        return self.content[self.position - count : self.position]

    def run(self) -> Any:
        """Interprets the next pickle and returns the value that it builds."""
        try:
            return self._run()
        except (IndexError, KeyError, UnicodeDecodeError):  # stack, memo, text
            _fail("a damaged pickle")

    def _run(self) -> Any:
        stack: list[Any] = []
        below: list[list[Any]] = []  # the stack before each mark
        memo: dict[int, Any] = {}
        while True:
            opcode = self.take(1)
            match opcode:
                case b"\x80":
                    if self._unsigned(1) != 2:
                        _fail("a pickle of another protocol")
                case b".":
                    return stack.pop()
                case b"(":
                    below.append(stack)
                    stack = []
                case b"t":
                    items, stack = stack, below.pop()
                    stack.append(tuple(items))
                case b"\x85" | b"\x86" | b"\x87":
                    start = len(stack) - (opcode[0] - 0x84)
                    if start < 0:
                        _fail("a damaged pickle")
                    stack[start:] = [tuple(stack[start:])]
                case b"N":
                    stack.append(None)
                case b"\x88" | b"\x89":
                    stack.append(opcode == b"\x88")
                case b"}":
                    stack.append({})
                case b"]":
                    stack.append([])
                case b")":
                    stack.append(())
                case b"K":
                    stack.append(self._unsigned(1))
                case b"M":
                    stack.append(self._unsigned(2))
                case b"J":
                    stack.append(int.from_bytes(self.take(4), "little", signed=True))
                case b"\x8a":
                    stack.append(
                        int.from_bytes(self.take(self._unsigned(1)), "little", signed=True)
                    )
                case b"X":
                    stack.append(self.take(self._unsigned(4)).decode())
                case b"q" | b"r":
                    memo[self._unsigned(1 if opcode == b"q" else 4)] = stack[-1]
                case b"h" | b"j":
                    stack.append(memo[self._unsigned(1 if opcode == b"h" else 4)])
                case b"c":
                    stack.append(self._constructor())
                case b"Q":
                    stack.append(self._storage(stack.pop()))
                case b"R":
                    arguments = stack.pop()
                    stack.append(_construct(stack.pop(), arguments))
                case b"s":
                    value, key = stack.pop(), stack.pop()
                    _update(stack[-1], [key, value])
                case b"u":
                    items, stack = stack, below.pop()
                    _update(stack[-1], items)
                case b"a":
                    item = stack.pop()
                    _extend(stack[-1], [item])
                case b"e":
                    items, stack = stack, below.pop()
                    _extend(stack[-1], items)
                case b"b":  # attributes of the dict, which are ignored
                    if not isinstance(stack.pop(), dict) or not isinstance(stack[-1], dict):
                        _fail("the state of an object that is no dict")
                case _:
                    _fail(f"the instruction {opcode!r} of a pickle")

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def _constructor(self) -> _Constructor:
        module, name = self._line(), self._line()
        try:
            return _Constructor(f"{module}.{name}")
        except ValueError:
            _fail(f"the name {printable(f'{module}.{name}')[:60]}")

    def _line(self) -> str:
        end = self.content.find(b"\n", self.position, self.position + 256)
        if end < 0:
            _fail("a damaged pickle")
        return self.take(end + 1 - self.position)[:-1].decode()

    def _storage(self, identifier: Any) -> _Storage:
        match identifier:
            case ("storage", kind, str(key), str(), int(size), None):
                dtype = _DTYPES.get(kind) if isinstance(kind, _Constructor) else None
                if dtype is None or size < 0:
                    _fail("a storage of another kind")
                storage = _Storage(key, dtype, size)
                if self.storages.setdefault(key, storage) != storage:
                    _fail("a storage of two kinds")
                return storage
        _fail("a reference to something that is no storage")


def _construct(constructor: Any, arguments: Any) -> Any:
    match constructor, arguments:
        case _Constructor.ORDERED_DICT, ():
            return {}
        case (
            _Constructor.TENSOR,
            (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict()),
        ):
            if all(type(number) is int for number in (*shape, *strides)):
                return _Tensor(storage, offset, shape, strides)
    _fail("a call that makes no tensor")


def _update(target: Any, items: list[Any]) -> None:
    """Adds the alternating keys and values of a list to a dict."""
    keys, values = items[::2], items[1::2]
    if not isinstance(target, dict) or len(keys) != len(values):
        _fail("items for something that is no dict")
    if not all(type(key) is str for key in keys):
        _fail("keys that are no text")
    target.update(zip(keys, values, strict=True))


def _extend(target: Any, items: list[Any]) -> None:
    if not isinstance(target, list):
        _fail("items for something that is no list")
    target.extend(items)


def _fail(received: str) -> NoReturn:
    raise ValueError(
        f"Expected a torch file that holds only tensors. Received: {received}. "
        "Install the package of the file again."
    )
