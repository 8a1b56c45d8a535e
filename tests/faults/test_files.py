"""What the commands do to files: the real commands, with what users and shells put in the place of a file."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MMST = [sys.executable, "-m", "mmst.cli.app"]
INPUTS = {
    "check-programs": '{"id": 1, "program": "print(42)"}\n{"id": "b", "program": "1 / 0"}\n',
    "grade": '{"id": 1, "gold": "7", "answer": "7"}\n{"id": "b", "gold": "7", "answer": "8"}\n',
    "extract": '{"id": 1, "solution": "Answer: 7"}\n{"id": "b", "solution": "no"}\n',
    "problems import": '{"question": "1 + 2?", "answer": "3\\n#### 3"}\n{"question": "And 2?", "answer": "#### 2"}\n',
    "compile": "",
}  # fmt: skip
"""Every command that writes one file, and an input of two lines; `compile` has none."""
READING = [name for name in INPUTS if name != "compile"]


def words(command: str, source: str | Path, out: str | Path) -> list[str]:
    """The command line."""
    given, made = str(source), str(out)
    return {
        "check-programs": [*MMST, "check-programs", given, "--sandbox", "subprocess", "--timeout", "20", "--out", made],
        "grade": [*MMST, "grade", given, "--out", made],
        "extract": [*MMST, "extract", "--method", "text", given, "--out", made],
        "problems import": [*MMST, "problems", "import", "gsm8k", given, "--to", made],
        "compile": [*MMST, "compile", "--recipe", "demo", "--out", "s3://b/p", "--file", made],
    }[command]


@pytest.fixture(params=[*READING, pytest.param("compile", marks=pytest.mark.slow)])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each command in turn, with `in` in the folder."""
    (tmp_path / "in").write_text(INPUTS[request.param])
    return str(request.param)


@pytest.fixture(params=["extract", "check-programs"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A command that only writes, and the one that keeps what is done; for what is the same in all of them."""
    (tmp_path / "in").write_text(INPUTS[request.param])
    return str(request.param)


def run(line: list[str], folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=120, **more)  # type: ignore[call-overload]
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done  # type: ignore[no-any-return]


def shell(line: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    return run(["bash", "-c", line], folder, **more)


def whole(command: str, text: str) -> bool:
    """Whether this is what the command makes of its input."""
    if command == "compile":
        return text.startswith("# PIPELINE DEFINITION") and "deploymentSpec" in text
    lines = [json.loads(line) for line in text.splitlines()]
    return len(lines) == 2 and (command == "problems import" or [line["id"] for line in lines] == [1, "b"])


def test_a_file_is_written_and_nothing_stays_beside_it(command: str, tmp_path: Path) -> None:
    done = run(words(command, "in", "out"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "out" in done.stdout
    assert whole(command, (tmp_path / "out").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_a_link_stays_and_its_file_is_replaced(command: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("before")
    (tmp_path / "link").symlink_to("there/file")
    assert run(words(command, "in", "link"), tmp_path).returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert whole(command, (tmp_path / "there" / "file").read_text())
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "a link to /dev/stdout"])
def test_standard_output_gets_the_lines_alone(command: str, tmp_path: Path, name: str) -> None:
    if name.startswith("a link"):
        (tmp_path / "a link to /dev/stdout".replace("/", "_")).symlink_to("/dev/stdout")
        name = "a link to _dev_stdout"
    before = os.lstat("/dev/stdout").st_ino, Path("/dev/stdout").readlink()
    done = run(words(command, "in", name), tmp_path)
    assert done.returncode == 0, done.stderr
    assert whole(command, done.stdout)
    assert done.stderr.strip(), "what people read goes to standard error"
    assert (os.lstat("/dev/stdout").st_ino, Path("/dev/stdout").readlink()) == before


@pytest.mark.parametrize("into", ["> file", ">> file", "| cat > file", "3> file"])
def test_a_redirected_stream_is_written_where_it_stands(two: str, tmp_path: Path, into: str) -> None:
    line = shlex.join(words(two, "in", "/dev/fd/3" if into.startswith("3") else "-"))
    assert shell(f"set -o pipefail; {line} {into}", tmp_path).returncode == 0
    assert whole(two, (tmp_path / "file").read_text())


def test_a_file_that_is_standard_output_as_well_holds_the_lines(two: str, tmp_path: Path) -> None:
    assert shell(f"{shlex.join(words(two, 'in', 'file'))} > file", tmp_path).returncode == 0
    assert whole(two, (tmp_path / "file").read_text())


def test_json_beside_the_lines_goes_to_standard_error(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(INPUTS["grade"])
    done = run([*words("grade", "in", "-"), "--json"], tmp_path)
    assert whole("grade", done.stdout)
    assert json.loads(done.stderr)["equal"] == 1


def test_a_fifo_is_written_and_stays_one(two: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", "fifo"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as reader:
        assert run(words(two, "in", "fifo"), tmp_path).returncode == 0
        assert reader.stdout
        assert whole(two, reader.stdout.read())
    assert (tmp_path / "fifo").is_fifo()


def test_a_process_substitution_is_written(two: str, tmp_path: Path) -> None:
    line = shlex.join(words(two, "in", "X")).replace(" X", " >(cat > copy)")
    assert shell(f"{line} > /dev/null; wait $!; sleep 0.2", tmp_path).returncode == 0
    assert whole(two, (tmp_path / "copy").read_text())


def test_a_device_of_ones_own_stays_one(two: str, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("makes a device")
    with contextlib.suppress(PermissionError):
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    if not (tmp_path / "null").exists():
        pytest.skip("devices cannot be made here")
    assert run(words(two, "in", "null"), tmp_path).returncode == 0
    assert (tmp_path / "null").is_char_device()


@pytest.mark.parametrize("name", ["/tmp", "link to a folder", ""])
def test_a_directory_is_refused(two: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link to a folder").symlink_to("folder")
    done = run(words(two, "in", name), tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the output is a directory, got" in done.stderr
    assert "Remedy:" in done.stderr


@pytest.mark.parametrize("how", ["same", "symbolic", "hard", "./", "appended"])
def test_the_input_is_not_lost(two: str, tmp_path: Path, how: str) -> None:
    name = {"same": "in", "./": f"../{tmp_path.name}/in"}.get(how, "other")
    if how == "symbolic":
        (tmp_path / "other").symlink_to("in")
    elif how == "hard":
        (tmp_path / "other").hardlink_to(tmp_path / "in")
    line = shlex.join(words(two, "in", "-" if how == "appended" else name))
    done = shell(f"{line} >> in" if how == "appended" else line, tmp_path)
    assert done.returncode == 2
    assert "the output is the input" in done.stderr
    assert (tmp_path / "in").read_text() == INPUTS[two]


@pytest.mark.parametrize("name", ["in.partial", "link.partial"])
def test_the_input_is_not_lost_to_kept_verdicts(tmp_path: Path, name: str) -> None:
    text = INPUTS["check-programs"]
    (tmp_path / "in.partial").write_text(text)
    if name == "link.partial":
        (tmp_path / name).hardlink_to(tmp_path / "in.partial")
    done = run(words("check-programs", name, name.removesuffix(".partial")), tmp_path)
    assert done.returncode == 2
    assert "the output is the input" in done.stderr
    assert (tmp_path / "in.partial").read_text() == text


@pytest.mark.parametrize("out", ["/dev/full", "-"])
def test_a_full_device_is_one_error(two: str, tmp_path: Path, out: str) -> None:
    line = shlex.join(words(two, "in", out))
    done = shell(f"{line} > /dev/full" if out == "-" else line, tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("No space left on device") == 1
    assert Path("/dev/full").is_char_device()


def test_a_full_device_for_what_people_read_is_one_error(tmp_path: Path) -> None:
    for line in ("recipes", "recipes --json", "recipes --keys --json", "problems list", "doctor --json"):
        done = shell(f"{shlex.join(MMST)} {line} > /dev/full", tmp_path)
        assert done.returncode in (4, 3 if line.startswith("doctor") else 4)
        assert done.stderr.count("No space left") == 1, (line, done.stderr)
        assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ["extract", "grade", "check-programs"])
def test_a_disk_that_becomes_full_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").write_text("before")
    row = json.loads(INPUTS[name].splitlines()[0]) | (
        {"program": "print('x' * 9000)"} if name == "check-programs" else {}
    )
    many = [json.dumps(row | {"id": i}) + "\n" for i in range(3 if name == "check-programs" else 9000)]
    (tmp_path / "in").write_text("".join(many))
    done = shell(f"ulimit -f 12; {shlex.join(words(name, 'in', 'out'))}", tmp_path)
    assert done.returncode == 4, done.stderr
    assert "File too large" in done.stderr
    assert (tmp_path / "out").read_text() == "before"
    assert {p.name for p in tmp_path.iterdir()} <= {"in", "out", "out.partial"}
    if name == "check-programs":
        assert run(words(name, "in", "out"), tmp_path).returncode == 0
    assert len((tmp_path / "out").read_text().splitlines()) == (3 if name == "check-programs" else 1)


@pytest.mark.parametrize("lines", [1, 2000])
@pytest.mark.parametrize("name", ["extract"])
def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path: Path, name: str, lines: int) -> None:
    (tmp_path / "in").write_text(INPUTS[name].splitlines()[0].replace("1", "1" * 99) + "\n")
    (tmp_path / "in").write_text((tmp_path / "in").read_text() * 20 * lines)
    done = shell(f"{shlex.join(words(name, 'in', '-'))} | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_reader_that_has_gone_ends_check_programs_quietly(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("".join(f'{{"id": {i}, "program": "print({i})"}}\n' for i in range(40)))
    line = shlex.join([*words("check-programs", "in", "-")])
    done = shell(f"{line} 2> said | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.returncode == 141
    assert json.loads(done.stdout)["id"] == 0
    assert "rror" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    "line", ["recipes", "recipes --keys --json", "--help", "check-programs --help", "problems list"]
)
def test_any_command_may_be_cut_off(tmp_path: Path, line: str) -> None:
    done = shell(f"{shlex.join(MMST)} {line} | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stderr == ""
    assert done.returncode == 141
    done = shell(f"{shlex.join(MMST)} {line} > /dev/null 2> >(true)", tmp_path)
    assert done.returncode == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_harm_nothing(two: str, tmp_path: Path, closed: str) -> None:
    done = shell(f"{shlex.join(words(two, 'in', 'out'))} {closed}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert whole(two, (tmp_path / "out").read_text())


def test_a_closed_standard_output_is_refused(two: str, tmp_path: Path) -> None:
    done = shell(f"{shlex.join(words(two, 'in', '-'))} >&-", tmp_path)
    assert done.returncode == 2
    assert "is not open (file descriptor 1)" in done.stderr or "reading only (file descriptor 1)" in done.stderr


def ordinary(line: list[str]) -> list[str]:
    """As a user who may not write everywhere: root without the capabilities that let it."""
    if os.geteuid() != 0:
        return line
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown", "--inh-caps=-all", *line]


@pytest.mark.parametrize("how", ["closed folder", "closed file", "closed partial"])
def test_what_may_not_be_written_is_one_error(two: str, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if how == "closed folder":
        folder.chmod(0o555)
    elif how == "closed file":
        (folder / "out").write_text("before")
        (folder / "out").chmod(0o444)
    elif two != "check-programs":
        pytest.skip("keeps nothing")
    else:
        (folder / "out.partial").write_text("")
        (folder / "out.partial").chmod(0o444)
    before = sorted(p.name for p in folder.iterdir())
    done = run(ordinary(words(two, "in", "folder/out")), tmp_path)
    folder.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Remedy:" in done.stderr
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_closed_input_is_one_error(two: str, tmp_path: Path) -> None:
    (tmp_path / "in").chmod(0)
    done = run(ordinary(words(two, "in", "out")), tmp_path)
    assert done.returncode == 2
    assert "not readable" in done.stderr


@pytest.mark.parametrize("source", ["none", "folder", "in/below"])
def test_an_input_that_is_none_is_one_error(two: str, tmp_path: Path, source: str) -> None:
    (tmp_path / "folder").mkdir()
    done = run(words(two, source, "out"), tmp_path)
    assert done.returncode == 2
    assert "Remedy:" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["- <", "- |", "/dev/stdin <", "/dev/stdin |", "<()"])
def test_an_input_may_be_a_stream(command: str, tmp_path: Path, how: str) -> None:
    if command == "compile":
        pytest.skip("has no input file")
    line = shlex.join(words(command, "X", "out"))
    name = how.split()[0]
    line = line.replace(" X ", " <(cat in) " if how == "<()" else f" {name} ")
    line = f"{line} < in" if how.endswith("<") else f"cat in | {line}" if how.endswith("|") else line
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert whole(command, (tmp_path / "out").read_text())


def test_a_bad_line_of_a_stream_is_named(two: str, tmp_path: Path) -> None:
    line = shlex.join(words(two, "-", "out"))
    done = shell(f"(cat in; echo '{{') | {line}", tmp_path)
    assert done.returncode == 2
    assert "mmst-" not in done.stderr
    assert "line 3: not JSON" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


SLOW = "".join(f'{{"id": {i}, "program": "import time; time.sleep(0.5); print({i})"}}\n' for i in range(12))


@contextlib.contextmanager
def under_way(folder: Path, out: str = "out") -> Iterator[subprocess.Popen[bytes]]:
    """A check that has begun to keep verdicts."""
    (folder / "in").write_text(SLOW)
    process = subprocess.Popen(words("check-programs", "in", out), cwd=folder, stderr=subprocess.DEVNULL)
    partial = folder / f"{out}.partial"
    try:
        while not partial.exists() or partial.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["out", "./out", "link"])
def test_a_second_command_with_the_same_output_is_refused(tmp_path: Path, name: str) -> None:
    if name == "link":
        (tmp_path / "link").symlink_to("out")
    with under_way(tmp_path) as first:
        first.send_signal(signal.SIGSTOP)
        second = run(words("check-programs", "in", name), tmp_path)
        assert second.returncode == 2
        assert "another command is writing this output" in second.stderr
        assert "out.partial" in second.stderr
        assert "Remedy: wait until it has ended, or give another --out" in second.stderr
        first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 0
    assert [json.loads(line)["id"] for line in (tmp_path / "out").read_text().splitlines()] == [*range(12)]


def test_kill_9_leaves_no_lock(tmp_path: Path) -> None:
    with under_way(tmp_path) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        done = run(words("check-programs", "in", "out"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["stdout"] for line in (tmp_path / "out").read_text().splitlines()] == [
        f"{i}\n" for i in range(12)
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_many_at_once_leave_one_whole_output(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(SLOW)
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(run(words("check-programs", "in", "out"), tmp_path).returncode))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert [json.loads(line)["id"] for line in (tmp_path / "out").read_text().splitlines()] == [*range(12)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("precious")
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.mkdir(), "is a directory"),
        (_link, "is a symbolic link"),
        (os.mkfifo, "is not a plain file"),
        (lambda p: p.write_bytes(b"\xff\xfe\x00 something else"), "was not made by this command"),
        (lambda p: p.write_text('{"id": 1, "verdict": "ok"}\n'), "was not made by this command"),
        (lambda p: p.write_text('{"input": 1}\n'), "was not made by this command"),
    ],
    ids=["directory", "link", "fifo", "bytes", "json", "json of another shape"],
)
def test_what_stands_in_the_place_of_kept_verdicts_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    (tmp_path / "in").write_text(INPUTS["check-programs"])
    make(tmp_path / "out.partial")
    before = [(p.name, p.lstat().st_mode, p.lstat().st_size) for p in sorted(tmp_path.iterdir())]
    done = run(words("check-programs", "in", "out"), tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "out.partial" in done.stderr
    assert "Remedy: move it away, or give another --out" in done.stderr
    assert [(p.name, p.lstat().st_mode, p.lstat().st_size) for p in sorted(tmp_path.iterdir())] == before
