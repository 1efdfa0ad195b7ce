"""Checkpoints read without torch: equal to torch's own reader, and safe with hostile and damaged files."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError
from whyhere.releases import read_torch_file


def _global(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def _plain(value: Any) -> bytes:
    """The opcodes of a plain value, without header and STOP."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _tensor(
    key: str,
    count: int,
    shape: tuple[int, ...],
    *,
    kind: str = "FloatStorage",
    offset: int = 0,
    stride: tuple[int, ...] | None = None,
) -> bytes:
    """The opcodes of one tensor, as torch.save writes them."""
    if stride is None:
        stride = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    storage = b"(" + _plain("storage") + _global("torch", kind) + _plain(key) + _plain("cpu") + _plain(count)
    hooks = _global("collections", "OrderedDict") + b")R"
    view = _plain(offset) + _plain(shape) + _plain(stride) + b"\x89" + hooks
    return _global("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"tQ" + view + b"tR"


def _dictionary(entries: dict[str, bytes]) -> bytes:
    body = b"".join(_plain(name) + value for name, value in entries.items())
    return b"\x80\x02" + _global("collections", "OrderedDict") + b")R(" + body + b"u."


def _archive(path: Path, program: bytes, records: dict[str, bytes], prefix: str = "model") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{prefix}/data.pkl", program)
        for name, data in records.items():
            archive.writestr(f"{prefix}/{name}", data)
    return path


FOUR = np.arange(4, dtype="<f4")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    program = _dictionary(
        {"weight": _tensor("0", 4, (2, 2)), "bias": _tensor("1", 2, (2,), kind="LongStorage")}
    )
    return _archive(
        tmp_path / "small.pth", program, {"data/0": FOUR.tobytes(), "data/1": np.array([7, -1]).tobytes()}
    )


def test_reads_a_dictionary(small: Path) -> None:
    arrays = read_torch_file(small)
    assert list(arrays) == ["weight", "bias"]
    np.testing.assert_array_equal(arrays["weight"], FOUR.reshape(2, 2))
    np.testing.assert_array_equal(arrays["bias"], [7, -1])
    assert arrays["bias"].dtype == np.int64
    assert not arrays["weight"].flags.writeable


def test_reads_only_what_is_wanted(small: Path) -> None:
    assert list(read_torch_file(small, wanted=lambda name: name == "bias")) == ["bias"]


def test_a_bare_tensor_has_no_name(tmp_path: Path) -> None:
    path = _archive(
        tmp_path / "s.pth", b"\x80\x02" + _tensor("0", 1, ()) + b".", {"data/0": FOUR[1:2].tobytes()}
    )
    arrays = read_torch_file(path)
    assert list(arrays) == [""]
    assert arrays[""].shape == ()
    assert arrays[""] == 1.0


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.pth: no such checkpoint"):
        read_torch_file(tmp_path / "nothing.pth")


# The oracle: torch itself.


@pytest.mark.torch
@pytest.mark.parametrize(
    "dtype",
    [
        *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
        *("complex64", "complex128"),
    ],
)
def test_agrees_with_torch(tmp_path: Path, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(3)
    kind = getattr(torch, dtype)
    base = (torch.randn(6, 5, 4, generator=generator) * 50).to(kind)
    tensors = {
        "whole": base,
        "transposed": base.permute(2, 0, 1),
        "row": base[3],
        "steps": base[::2, 1::3],
        "shared tail": base.flatten()[17:],
        "scalar": base[1, 1, 1],
        "expanded": base[:1].expand(9, 5, 4),
        "empty": base[:0],
        "channels last": base[None].contiguous(memory_format=torch.channels_last),
    }
    path = tmp_path / "oracle.pth"
    torch.save(collections.OrderedDict(tensors), path)
    expected = torch.load(path, weights_only=True)
    found = read_torch_file(path)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        reference = (tensor.float() if dtype == "bfloat16" else tensor).numpy()
        assert found[name].dtype == reference.dtype
        np.testing.assert_array_equal(found[name], reference)
        assert found[name].shape == reference.shape


@pytest.mark.torch
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_a_module_state_dict(tmp_path: Path, protocol: int) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    path = tmp_path / "module.pth"
    torch.save(module.state_dict(), path, pickle_protocol=protocol)
    found = read_torch_file(path)
    assert list(found) == list(module.state_dict())
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


@pytest.mark.torch
def test_reads_parameters(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "parameter.pth"
    torch.save(torch.nn.Parameter(torch.tensor(2.5)), path)
    assert read_torch_file(path)[""] == 2.5


@pytest.mark.torch
def test_the_old_format_is_refused_with_its_name(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "old.pth"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(MissingFileError, match=r"since 1\.6"):
        read_torch_file(path)


# Hostile files.


class _Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _hostile(marker: Path) -> dict[str, bytes]:
    shell = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    state = _tensor("0", 4, (4,)) + b"}" + _plain("__class__") + _plain(1) + b"sb"
    ordered = _global("collections", "OrderedDict")
    return {
        "os.system": pickle.dumps(_Evil(os.system, shell), protocol=2),
        "os.system, protocol 0": pickle.dumps(_Evil(os.system, shell), protocol=0),
        "os.system, protocol 4": pickle.dumps(_Evil(os.system, shell), protocol=4),
        "eval": pickle.dumps(_Evil(eval, code), protocol=2),
        "exec": pickle.dumps({"w": _Evil(exec, code)}, protocol=5),
        "getattr": pickle.dumps(_Evil(getattr, "", "format"), protocol=2),
        "INST": b"(" + _plain(shell) + b"ios\nsystem\n.",
        "OBJ": b"(" + _global("os", "system") + _plain(shell) + b"o.",
        "NEWOBJ": b"\x80\x02" + _global("builtins", "bytearray") + _plain(shell) + b"\x85\x81.",
        "EXT1": b"\x80\x02\x82\x01.",
        "torch.load": b"\x80\x02" + _global("torch", "load") + b")R.",
        "dotted": b"\x80\x04" + _plain("collections") + _plain("OrderedDict.fromkeys") + b"\x93.",
        "state of a tensor": b"\x80\x02" + state + b".",
        "state of a class": b"\x80\x02" + ordered + b"}b.",
        "OrderedDict of something": b"\x80\x02"
        + _global("collections", "OrderedDict")
        + _plain(((1, 2),))
        + b"R.",
        "no tensors": pickle.dumps([1, 2], protocol=2),
        "text": pickle.dumps({"w": "text"}, protocol=2),
        "nested": pickle.dumps({"w": {"v": 1}}, protocol=2),
        "state of a function": b"\x80\x02"
        + _global("torch._utils", "_rebuild_parameter")
        + b"N}"
        + _plain("__defaults__")
        + b"Ns\x86b.",
        "a key that is hashed for ever": b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns.",
        "huge bytearray": b"\x80\x05\x96" + b"\xff" * 6 + b"\0\0.",
        "huge frame": b"\x80\x04\x95" + b"\xff" * 7 + b"\0}.",
        "a list": pickle.dumps({"w": [1]}, protocol=2),
        "a set": pickle.dumps({"w": {1}}, protocol=4),
        "huge memo index": b"\x80\x02}r\xff\xff\xff\xff.",
        "huge text": b"\x80\x02X\xff\xff\xff\x7fabc.",
        "deep": b"\x80\x02" + b"N" + b"\x85" * 200_000 + b".",
        "doubling": b"\x80\x02)" + b"q\x00h\x00h\x00\x86" * 200 + b".",
        "nothing": b"",
    }


@pytest.mark.parametrize("name", list(_hostile(Path("x"))))
def test_hostile_pickles_are_refused_and_do_nothing(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "executed"
    path = _archive(tmp_path / "evil.pth", _hostile(marker)[name], {"data/0": FOUR.tobytes()})
    with pytest.raises(MissingFileError, match=r"evil\.pth: not a checkpoint that can be read safely: "):
        read_torch_file(path)
    assert not marker.exists()


def test_a_forbidden_object_is_named(tmp_path: Path) -> None:
    path = _archive(tmp_path / "evil.pth", pickle.dumps(_Evil(eval, "1"), protocol=2), {})
    with pytest.raises(MissingFileError, match=r"'(builtins|__builtin__)\.eval'"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (_tensor("0", 4, (5,)), "beyond its storage"),
        (_tensor("0", 4, (4,), offset=1), "beyond its storage"),
        (_tensor("0", 4, (2, 2), stride=(3, 1)), "beyond its storage"),
        (_tensor("0", 4, (2,), stride=(-1,), offset=3), "negative"),
        (_tensor("0", 4, (2,), offset=-1), "negative"),
        (_tensor("0", 4, (-2,), stride=(1,)), "negative"),
        (_tensor("0", 4, (2,), stride=()), "strides"),
        (_tensor("0", 4, (1,) * 40), "40 sizes"),
        (_tensor("0", 1, (10**6, 10**6, 10**6), stride=(0, 0, 0)), "more than 1073741824 bytes"),
        (_tensor("0", 4, (0, 2**62), stride=(1, 1)), "has the size"),
        (_tensor("0", 5, (2,)), "wrong size"),
        (_tensor("0", 2, (2,), kind="DoubleStorage", offset=1), "beyond its storage"),
        (_tensor("0", 4, (2,), kind="DoubleStorage"), "wrong size"),
        (_tensor("9", 4, (4,)), "'data/9' is missing"),
        (_tensor("../data.pkl", 4, (4,)), "odd name"),
        (_tensor("0", 4, (4,), kind="QInt8Storage"), "torch.QInt8Storage"),
        (_tensor("0", 4, (True, 4), stride=(1, 1)), "no whole number"),
    ],
)
def test_lies_about_storage_are_refused(tmp_path: Path, tensor: bytes, reason: str) -> None:
    path = _archive(tmp_path / "liar.pth", _dictionary({"w": tensor}), {"data/0": FOUR.tobytes()})
    with pytest.raises(MissingFileError, match=reason):
        read_torch_file(path)


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", _dictionary({"w": _tensor("0", 10**6, (10**6,))}))
        archive.writestr("m/data/0", bytes(4 * 10**6))
    with pytest.raises(MissingFileError, match="compressed"):
        read_torch_file(path)


def test_big_endian_files_are_refused(tmp_path: Path) -> None:
    program = _dictionary({"w": _tensor("0", 4, (4,))})
    path = _archive(tmp_path / "big.pth", program, {"data/0": FOUR.tobytes(), "byteorder": b"big"})
    with pytest.raises(MissingFileError, match="big-endian"):
        read_torch_file(path)


# Damage: every flipped byte gives the same tensors or one clean error.


def _same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return list(found) == list(expected) and all(np.array_equal(found[n], expected[n]) for n in expected)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_flipped_bytes_give_the_same_tensors_or_a_clean_error(
    tmp_path_factory: Any, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    program = _dictionary({"weight": _tensor("0", 4, (2, 2)), "bias": _tensor("0", 4, (2,), offset=1)})
    path = _archive(folder / "flip.pth", program, {"data/0": FOUR.tobytes(), "byteorder": b"little"})
    expected = read_torch_file(path)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(damaged))))
    path.write_bytes(bytes(damaged[:cut]))
    try:
        found = read_torch_file(path)
    except MissingFileError:
        return
    assert _same(found, expected)  # the zip checksums let no change of content pass


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_flipped_bytes_in_the_pickle_itself(tmp_path_factory: Any, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("program")
    program = bytearray(
        _dictionary({"weight": _tensor("0", 4, (2, 2)), "b": _tensor("0", 4, (2,), offset=1)})
    )
    for _ in range(data.draw(st.integers(1, 4))):
        program[data.draw(st.integers(0, len(program) - 1))] = data.draw(st.integers(0, 255))
    path = _archive(folder / "flip.pth", bytes(program), {"data/0": FOUR.tobytes()})
    try:
        found = read_torch_file(path)
    except MissingFileError:
        return
    for array in found.values():  # still only numbers that lie in the storage
        assert np.isin(np.asarray(array), FOUR).all() or array.dtype != np.float32


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_pickle(tmp_path_factory: Any, program: bytes) -> None:
    path = _archive(tmp_path_factory.mktemp("any") / "any.pth", program, {"data/0": FOUR.tobytes()})
    with contextlib.suppress(MissingFileError):
        read_torch_file(path)


def test_truncation_at_every_byte(small: Path) -> None:
    whole = small.read_bytes()
    expected = read_torch_file(small)
    for end in range(len(whole)):
        small.write_bytes(whole[:end])
        with pytest.raises(MissingFileError):
            read_torch_file(small)
    small.write_bytes(whole)
    assert _same(read_torch_file(small), expected)


def test_zip_with_absurd_sizes(small: Path) -> None:
    """Directory entries that claim 4 GB must neither allocate it nor raise something odd."""
    whole = bytearray(small.read_bytes())
    at = whole.rindex(b"PK\x01\x02")
    for field in (20, 24, 42):
        changed = bytearray(whole)
        changed[at + field : at + field + 4] = struct.pack("<I", 0xFFFFFFF0)
        small.write_bytes(changed)
        with pytest.raises(MissingFileError):
            read_torch_file(small)
