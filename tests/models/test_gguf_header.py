"""The header of a GGUF file that announces more than there is."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("gguf")

from mmst.core.errors import ModelError
from mmst.models import gguf_header
from tests.support.gguf_files import small_gguf


def header(values: bytes, *, n: int = 1, tensors: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, n) + values


def value(kind: int, content: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + content


@pytest.mark.parametrize(
    "content",
    [
        header(value(9, struct.pack("<IQ", 0, 1 << 34))),
        header(value(9, struct.pack("<IQ", 8, 1 << 34))),
        header(value(9, struct.pack("<IQ", 9, 1 << 34))),
        header(value(9, struct.pack("<IQ", 9, 1) * 9)),
        header(value(8, struct.pack("<Q", 1 << 63))),
        header(value(77, b"")),
        header(b"", n=1 << 60),
        header(b"", n=0, tensors=1 << 60),
        b"GGUF",
    ],
)
def test_what_does_not_fit_into_the_file_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelError, match="the GGUF file is cut or damaged"):
        gguf_header.check(tmp_path / "m.gguf")


@pytest.mark.parametrize("content", [b"GGUF\3", header(b"", n=0, tensors=1) + 30 * b"\xff", header(b"\1\0\0")])
def test_the_error_says_what_is_wrong_with_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"its header goes on for at least [\d,]+ bytes behind the end"):
        gguf_header.check(tmp_path / "m.gguf")


def test_a_tensor_of_more_dimensions_than_there_are_is_damage(tmp_path: Path) -> None:
    record = struct.pack("<Q", 1) + b"t" + struct.pack("<I", 5) + bytes(60)
    (tmp_path / "m.gguf").write_bytes(header(b"", n=0, tensors=1) + record)
    with pytest.raises(ModelError, match="dimensions"):
        gguf_header.check(tmp_path / "m.gguf")


def test_a_file_that_ends_within_its_tensor_records_is_one_error(tmp_path: Path, whole: bytes) -> None:
    last = whole.rindex(b"output_norm.weight") + 1  # the first of the names that tensors have begins before
    (tmp_path / "m.gguf").write_bytes(whole[:last])
    with pytest.raises(ModelError, match="behind the end"):
        gguf_header.check(tmp_path / "m.gguf")


def test_a_whole_file_passes(tmp_path: Path) -> None:
    gguf_header.check(small_gguf(tmp_path / "m.gguf"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(8, 400), new=st.binary(min_size=1, max_size=8))
def test_damage_ends_in_an_error_or_in_none(whole: bytes, tmp_path: Path, at: int, new: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(whole[:at] + new + whole[at + len(new) :])
    with contextlib.suppress(ModelError):
        gguf_header.check(tmp_path / "m.gguf")
