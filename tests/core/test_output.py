"""What a command makes of the name that it is to write to: links, devices, pipes, the input itself."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import ConfigError, StoreError
from mmst.core.output import find, given, lines_of

LINE = b"line\n"


def write(path: Path, *sources: Path) -> None:
    with find(path, *sources).writing() as out:
        out.write(LINE)


def test_a_new_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "deep" / "out")
    finally:
        os.umask(before)
    assert (tmp_path / "deep" / "out").read_bytes() == LINE
    assert stat.S_IMODE((tmp_path / "deep" / "out").stat().st_mode) == 0o640
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    (tmp_path / "out").chmod(0o600)
    write(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "dangling"])
@pytest.mark.parametrize("chain", [1, 3])
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, there: bool, chain: int, relative: bool) -> None:
    other = tmp_path / "other"
    other.mkdir()
    end = other / "file"
    if there:
        end.write_text("before")
    leads = [end]
    for n in range(chain):
        link = tmp_path / f"link{n}"
        link.symlink_to(os.path.relpath(leads[-1], tmp_path) if relative else leads[-1])
        leads.append(link)
    write(leads[-1])
    assert end.read_bytes() == LINE
    assert all(link.is_symlink() for link in leads[1:])
    assert [p.name for p in other.iterdir()] == ["file"]


def test_a_link_among_the_folders_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link" / "out")
    assert (tmp_path / "real" / "out").read_bytes() == LINE


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ConfigError, match="leads to itself"):
        find(tmp_path / "a")


def test_nothing_changes_when_the_work_fails(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")

    def fail() -> None:
        with find(tmp_path / "out").writing() as out:
            out.write(LINE * 100_000)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "out").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["", ".", "..", "/", "/dev", "folder", "link to a folder"])
def test_a_directory_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link to a folder").symlink_to("folder")
    with pytest.raises(ConfigError, match="the output is a directory"):
        find(Path(name))


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        with pytest.raises(ConfigError, match="is a socket"):
            find(tmp_path / "s")
    assert (tmp_path / "s").is_socket()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a device")
def test_a_disk_is_refused(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "disk", 0o600 | stat.S_IFBLK, os.makedev(7, 250))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    with pytest.raises(ConfigError, match="is a disk"):
        find(tmp_path / "disk")


def test_a_device_is_written_and_stays(tmp_path: Path) -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to("/dev/null")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_a_full_device_is_one_error() -> None:
    with pytest.raises(StoreError, match=r"cannot write /dev/full: No space left on device\. Remedy: free space"):
        write(Path("/dev/full"))
    assert Path("/dev/full").is_char_device()


def test_a_fifo_is_written_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    write(tmp_path / "fifo")
    reader.join()
    assert read == [LINE]
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd", "a link"])
def test_an_open_descriptor_is_written_to_where_it_stands(tmp_path: Path, folder: str) -> None:
    with (tmp_path / "file").open("wb", buffering=0) as file:
        file.write(b"before\n")
        if folder == "a link":
            (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
            write(tmp_path / "link")
        else:
            write(Path(folder, str(file.fileno())))
        file.write(b"after\n")
    assert (tmp_path / "file").read_bytes() == b"before\n" + LINE + b"after\n"


def test_a_descriptor_that_is_closed_or_only_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not open \(file descriptor 999\)"):
        find(Path("/dev/fd/999"))
    (tmp_path / "file").write_text("x")
    with (tmp_path / "file").open() as file, pytest.raises(ConfigError, match="open for reading only"):
        find(Path(f"/dev/fd/{file.fileno()}"))


@pytest.mark.parametrize("how", ["the same", "link", "hard link", "dot", "link to the input's link", "input is a link"])
def test_the_input_is_never_the_output(tmp_path: Path, how: str) -> None:
    source = tmp_path / "in"
    source.write_text("precious")
    out = tmp_path / "out"
    if how == "the same":
        out = source
    elif how == "dot":
        out = tmp_path / "." / "x" / ".." / "in"
        (tmp_path / "x").mkdir()
    elif how == "hard link":
        out.hardlink_to(source)
    elif how == "input is a link":
        (tmp_path / "link").symlink_to(source)
        source, out = tmp_path / "link", source
    else:
        out.symlink_to(source)
    with pytest.raises(ConfigError, match="the output is the input"):
        write(out, source)
    assert (tmp_path / "in").read_text() == "precious"


def test_an_open_descriptor_of_the_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("precious")
    with (tmp_path / "in").open("ab") as file, pytest.raises(ConfigError, match="the output is the input"):
        find(Path(f"/dev/fd/{file.fileno()}"), tmp_path / "in")


def test_a_copy_of_the_input_is_no_input(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).write_text("the same text")
    write(tmp_path / "out", tmp_path / "in")
    assert (tmp_path / "out").read_bytes() == LINE


def test_dev_null_may_be_both() -> None:
    write(Path("/dev/null"), Path("/dev/null"))


def test_what_killed_commands_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    (tmp_path / ".mmst-1-dead.part").write_text("half")
    (tmp_path / "mine.part").write_text("not ours")
    with (tmp_path / ".mmst-2-lives.part").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        write(tmp_path / "out")
        assert sorted(p.name for p in tmp_path.iterdir()) == [".mmst-2-lives.part", "mine.part", "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("keep")
    (tmp_path / "out").chmod(0o444)
    with pytest.raises(ConfigError, match="may not be written"):
        find(tmp_path / "out")


def test_a_name_that_is_too_long_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="File name too long"):
        write(tmp_path / ("x" * 300))


def test_a_file_among_the_folders_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="Not a directory"):
        write(tmp_path / "file" / "out")


def test_a_pipe_that_nobody_reads_stays_a_closed_pipe() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        with pytest.raises(BrokenPipeError):
            write(Path(f"/dev/fd/{writes}"))
    finally:
        os.close(writes)


def test_a_descriptor_that_does_not_block_gets_everything() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    read: list[bytes] = []

    def reader() -> None:
        while data := os.read(reads, 1 << 16):
            read.append(data)

    thread = threading.Thread(target=reader)
    thread.start()
    with find(Path(f"/dev/fd/{writes}")).writing() as out:
        out.write(LINE * 500_000)
    os.close(writes)
    thread.join()
    os.close(reads)
    assert b"".join(read) == LINE * 500_000


@pytest.mark.parametrize("name", ["none", "folder", "file/x"])
def test_an_input_that_cannot_be_read_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"no such file|is a directory|cannot be read"), given(tmp_path / name):
        pass


def test_a_pipe_that_is_read_twice_is_copied_and_named_as_the_user_did(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(LINE)).start()
    copies: list[Any] = []

    def fail() -> None:
        with given(tmp_path / "fifo", again=True) as copy:
            copies.extend([copy, *(copy.read_bytes() for _ in range(2))])
            raise ConfigError(f"{copy} is odd")

    with pytest.raises(ConfigError, match=f"^{tmp_path}/fifo is odd"):
        fail()
    copy, *texts = copies
    assert texts == [LINE, LINE]
    assert not copy.exists()


@pytest.mark.parametrize("option", ["--out", "--to", "--file"])
@pytest.mark.parametrize("wrong", ["folder", "socket", "input", "address", "loop", "below a file", "long"])
def test_every_remedy_names_the_option_of_the_command(tmp_path: Path, wrong: str, option: str) -> None:
    source = tmp_path / "in"
    source.write_text("")
    (tmp_path / "loop").symlink_to("loop")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "socket"))
    names = {"folder": tmp_path, "input": source, "address": Path("s3://bucket/key"), "below a file": source / "x"}
    names |= {"long": tmp_path / ("x" * 300)}
    with pytest.raises(ConfigError) as error, find(names.get(wrong, tmp_path / wrong), source, option=option).writing():
        pass
    bound.close()
    remedy = str(error.value).partition("Remedy: ")[2]
    assert option in remedy or wrong == "long"
    assert not any(other in remedy for other in {"--out", "--to", "--file"} - {option})


def test_a_full_disk_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="give another --to"), find(Path("/dev/full"), option="--to").writing() as out:
        out.write(LINE)


@pytest.mark.parametrize("name", ["s3://bucket/key", "https://host/x.jsonl", "gs://b/k", "hf://datasets/x"])
def test_an_address_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="the output is an address") as written:
        find(Path(name))
    with pytest.raises(ConfigError, match="the input is an address") as read, given(Path(name)):
        pass
    assert f"got '{name}'" in str(written.value)
    assert f"got '{name}'" in str(read.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["s3:/x", "a:b", "C:x", "x:"])
def test_a_file_with_a_colon_in_its_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    write(Path(name))
    assert Path(name).read_bytes() == LINE


def test_a_link_to_nothing_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere/x")
    said = r"symbolic link to nowhere/x, which is not there, got .*link'. Remedy: mend the link"
    with pytest.raises(ConfigError, match=said), given(tmp_path / "link"):
        pass


@pytest.mark.parametrize(("text", "lines"), [("", 0), ("a\nb\n", 2), ("a\n\n", 2)])
def test_the_lines_of_a_file_are_known_before(tmp_path: Path, text: str, lines: int) -> None:
    (tmp_path / "in").write_text(text)
    assert lines_of(tmp_path / "in") == lines
    assert lines_of(Path("/dev/stdin")) == 0 or Path("/dev/stdin").is_file()
