"""A pickle machine that can describe tensors and do nothing else.

The pickle inside a torch checkpoint is a program. Python's own unpickler runs whatever it names; this one
knows the two dozen opcodes that `torch.save` writes for dictionaries of tensors, gives them meanings that
touch no Python object of ours, and refuses the rest. Nothing is imported, called or looked up by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_PICKLE_BYTES = 16 << 20  # GeoCLIP's largest is 2 kB; a pickle of 16 MB would describe 50,000 tensors

_STORAGES = frozenset(
    f"{kind}Storage"
    for kind in (
        *("Double", "Float", "Half", "BFloat16"),
        *("Long", "Int", "Short", "Char", "Byte", "Bool"),
        *("ComplexDouble", "ComplexFloat"),
    )
)
_CALLABLES = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
    }
)


class PickleRefusedError(ValueError):
    """The pickle is damaged, or asks for something other than tensors in dictionaries."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in the checkpoint.

    Attributes:
        kind: Torch's name of the storage class, such as "FloatStorage".
        key: Name of the record that holds the numbers.
        count: How many numbers there are.
    """

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as the pickle describes it: a view into a storage, all in elements; nothing checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    module: str
    name: str


_MARK = object()


def read_pickle(data: bytes) -> object:
    """Run the pickle and return what it describes.

    Args:
        data: The bytes of `data.pkl`.

    Returns:
        A `Tensor`, or a `dict`, whose values may again be anything a pickle can describe here (text, whole
        numbers, booleans, None, tuples, dictionaries, tensors).

    Raises:
        PickleRefusedError: Damaged, too big, or asks for anything else. No other exception is raised.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise PickleRefusedError(f"its pickle has {len(data)} bytes, more than {MAX_PICKLE_BYTES}")
    return _Machine(data).run()


class _Machine:
    """The state of one run: the input, a stack with marks, and the memo."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}  # a dict, so that a huge index costs nothing

    def run(self) -> object:
        while True:
            opcode = self._take(1)
            if opcode == b".":
                return self._pop()
            act = _OPCODES.get(opcode)
            if act is None:
                raise PickleRefusedError(f"its pickle uses opcode {opcode!r}, which no tensor needs")
            act(self)

    # Reading the input.

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise PickleRefusedError("its pickle ends too early")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def _skip(self, count: int) -> None:
        self._take(count)

    def _unsigned(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _signed(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little", signed=True)

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PickleRefusedError("its pickle holds text that is not UTF-8") from error

    def _line(self) -> str:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise PickleRefusedError("its pickle ends too early")
        raw = self._take(end - self._position)
        self._take(1)
        return self._text(raw)

    # The stack.

    def push(self, value: object) -> None:
        self._stack.append(value)

    def _pop(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise PickleRefusedError("its pickle takes a value that is not there")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[object]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                values = self._stack[index + 1 :]
                del self._stack[index:]
                return values
        raise PickleRefusedError("its pickle takes values that are not there")

    def _top(self) -> object:
        value = self._pop()
        self.push(value)
        return value

    # Opcodes, as the table below names them.

    def proto(self) -> None:
        version = self._unsigned(1)
        if version > 5:
            raise PickleRefusedError(f"its pickle has protocol {version}, and the newest known is 5")

    def memoize(self, index: int) -> None:
        self._memo[index] = self._top()

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise PickleRefusedError("its pickle recalls a value that it never stored")
        self.push(self._memo[index])

    def tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def tuple_to_mark(self) -> None:
        self.push(tuple(self._pop_to_mark()))

    def global_line(self) -> None:
        module = self._line()
        self.push(_allowed(module, self._line()))

    def global_stack(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleRefusedError("its pickle names a Python object by something other than text")
        self.push(_allowed(module, name))

    def long(self) -> None:
        width = self._unsigned(1)
        if width > 8:
            raise PickleRefusedError(f"its pickle holds a whole number of {width} bytes")
        self.push(self._signed(width))

    def text(self, width: int) -> None:
        self.push(self._text(self._take(self._unsigned(width))))

    def set_items(self, pairs: list[object]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(pairs) % 2:
            raise PickleRefusedError("its pickle fills a dictionary wrongly")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str | int):
                raise PickleRefusedError(f"its pickle has a dictionary key of type {type(key).__name__}")
            target[key] = value

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self.set_items([key, value])

    def build(self) -> None:
        # A state dict carries `_metadata` (module versions) as an attribute of its OrderedDict: dropped.
        self._pop()
        if not isinstance(self._top(), dict):
            raise PickleRefusedError("its pickle sets attributes of something other than a dictionary")

    def persistent(self) -> None:
        match self._pop():
            case ("storage", _Global("torch", kind), str() as key, str(), int() as count) if (
                kind in _STORAGES and count >= 0
            ):
                self.push(Storage(kind, key, count))
            case _:
                raise PickleRefusedError("its pickle describes a storage wrongly")

    def reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        match function, arguments:
            case _Global(_, "OrderedDict"), ():
                self.push({})
            case _Global(_, "_rebuild_parameter"), (Tensor() as tensor, bool(), dict()):
                self.push(tensor)
            # The seventh argument, where there is one, asks for a lazy conjugate or negation.
            case _Global(_, "_rebuild_tensor_v2"), (
                Storage() as storage,
                int() as offset,
                tuple() as shape,
                tuple() as stride,
                bool(),
                dict(),
                *rest,
            ) if len(rest) == 0 or (len(rest) == 1 and not rest[0]):
                self.push(Tensor(storage, offset, _whole_numbers(shape), _whole_numbers(stride)))
            case _:
                raise PickleRefusedError("its pickle calls a function in a way that makes no tensor")


def _allowed(module: str, name: str) -> _Global:
    if (module, name) in _CALLABLES or (module == "torch" and name in _STORAGES):
        return _Global(module, name)
    asked = f"{module}.{name}"
    asked = asked if len(asked) <= 80 else asked[:80] + "..."
    raise PickleRefusedError(f"its pickle asks for the Python object {asked!r}, which no tensor needs")


def _whole_numbers(values: tuple[object, ...]) -> tuple[int, ...]:
    numbers = tuple(value for value in values if type(value) is int)  # a bool is no size
    if len(numbers) != len(values):
        raise PickleRefusedError("its pickle has a tensor size that is no whole number")
    return numbers


_OPCODES: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.proto,
    b"\x95": lambda machine: machine._skip(8),
    b"(": lambda machine: machine.push(_MARK),
    b")": lambda machine: machine.push(()),
    b"t": _Machine.tuple_to_mark,
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"}": lambda machine: machine.push({}),
    b"s": _Machine.set_item,
    b"u": lambda machine: machine.set_items(machine._pop_to_mark()),
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"J": lambda machine: machine.push(machine._signed(4)),
    b"K": lambda machine: machine.push(machine._unsigned(1)),
    b"M": lambda machine: machine.push(machine._unsigned(2)),
    b"\x8a": _Machine.long,
    b"X": lambda machine: machine.text(4),
    b"\x8c": lambda machine: machine.text(1),
    b"q": lambda machine: machine.memoize(machine._unsigned(1)),
    b"r": lambda machine: machine.memoize(machine._unsigned(4)),
    b"\x94": lambda machine: machine.memoize(len(machine._memo)),
    b"h": lambda machine: machine.recall(machine._unsigned(1)),
    b"j": lambda machine: machine.recall(machine._unsigned(4)),
    b"c": _Machine.global_line,
    b"\x93": _Machine.global_stack,
    b"Q": _Machine.persistent,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
