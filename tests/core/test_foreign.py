"""Trouble from outside becomes an error of ours with a remedy; a fault of ours stays what it is."""

import errno
import json
import os
from pathlib import Path

import pytest

from mmst.core import foreign
from mmst.core.errors import DataError, MmstError, PlatformError, SetupError, StoreError, UserError


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EACCES])
def test_a_name_that_cannot_be_used_is_wrong_input(number: int) -> None:
    error = foreign.told(OSError(number, os.strerror(number), "some/file"))
    assert type(error) is UserError
    assert error.what == f"some/file: {os.strerror(number)}"
    assert error.remedy


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.ESTALE])
def test_a_disk_that_fails_is_a_store_error(number: int) -> None:
    error = foreign.told(OSError(number, os.strerror(number), "some/file"))
    assert type(error) is StoreError
    assert "some/file" in error.what
    assert error.remedy


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_a_machine_that_has_too_little_of_something_is_a_platform_error(error: Exception) -> None:
    said = foreign.told(error)
    assert type(said) is PlatformError
    assert said.remedy


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "reset"), TimeoutError("timed out")])
def test_a_server_that_cannot_be_reached_is_a_platform_error(error: Exception) -> None:
    assert type(foreign.told(error)) is PlatformError


def unreadable(text: bytes) -> Exception:
    try:
        json.loads(text.decode())
    except ValueError as e:
        return e
    raise AssertionError


@pytest.mark.parametrize(("text", "where"), [(b'{"a":\n 1', "line 2, column 3"), (b"caf\xe9", "byte 4")])
def test_text_that_cannot_be_read_says_where(text: bytes, where: str) -> None:
    error = foreign.told(unreadable(text))
    assert type(error) is DataError
    assert where in error.what


def test_a_name_that_is_not_utf_8_is_wrong_input() -> None:
    with pytest.raises(UserError, match="not UTF-8"), foreign.named():
        "caf\udce9".encode()


def test_a_name_with_a_nul_character_is_wrong_input() -> None:
    with pytest.raises(UserError, match="NUL"), foreign.named():
        Path("a\0b").read_bytes()


def test_a_number_that_is_too_large_is_wrong_input() -> None:
    with pytest.raises(UserError, match="too large"), foreign.named():
        float(10**400)


def test_a_package_that_is_not_there_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="boto3 is not installed"), foreign.named():
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")


@pytest.mark.parametrize("fault", [KeyError("x"), ValueError("x"), AttributeError("x"), OSError("without a number")])
def test_a_fault_of_ours_stays_one(fault: Exception) -> None:
    with pytest.raises(type(fault)) as raised, foreign.named():
        raise fault
    assert raised.value is fault


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = UserError("no")
    with pytest.raises(MmstError) as raised, foreign.named():
        raise error
    assert raised.value is error


def test_a_reader_that_has_gone_is_no_error_of_ours() -> None:
    with pytest.raises(BrokenPipeError), foreign.named():
        raise BrokenPipeError
