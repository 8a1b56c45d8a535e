# ruff: noqa: E501  programs, one a line
"""What a program finds around it in the gVisor sandbox: /tmp, its own file, time zones, the locale."""

from __future__ import annotations

import pytest

from mmst.core.ports import Sandbox
from mmst.sandbox.providers.gvisor import GvisorSandbox
from tests.support.sandboxes import box, prison, results, run

__all__ = ["box", "prison"]
pytestmark = pytest.mark.timeout(120)
EMPTY = "import os\nprint(os.listdir('/tmp'), os.getcwd())"


@pytest.mark.parametrize(
    ("source", "stdout"),
    [
        ("import locale\nprint(locale.setlocale(locale.LC_ALL, ''))", "C.UTF-8\n"),
        ("import locale\nlocale.setlocale(locale.LC_ALL, '')\nprint(f'{1234.5:n}', '\\u00e9'.upper())", "1234.5 \u00c9\n"),
        ("import os\nprint(7 if os.path.basename(__file__) else 0)", "7\n"),
        ("import sys, os\nprint(sys.argv, os.path.abspath(sys.argv[0]) == __file__, os.path.isabs(__file__))", "['program.py'] True True\n"),
        ("print(open(__file__).read(), end='')", "print(open(__file__).read(), end='')"),
        ("from pathlib import Path\nprint(Path(__file__).resolve().parent == Path.cwd(), Path(__file__).stat().st_size)", "True 108\n"),
        ("import sys\nprint(len(open(sys.argv[0]).readlines()))", "2\n"),
        ("from zoneinfo import ZoneInfo\nfrom datetime import datetime\nprint(datetime(2024, 7, 1, tzinfo=ZoneInfo('Europe/Berlin')).utcoffset())", "2:00:00\n"),
        ("import getpass\nprint(bool(getpass.getuser()))", "True\n"),
        ("print(__name__, __doc__, __spec__)", "__main__ None None\n"),
    ],
)  # fmt: skip
def test_it_is_as_in_any_script(box: Sandbox, source: str, stdout: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.stdout, e.stderr) == ("ok", stdout, "")


@pytest.mark.gvisor
def test_all_time_zones_are_there(prison: GvisorSandbox) -> None:
    assert int(run(prison, "import zoneinfo\nprint(len(zoneinfo.available_timezones()))").stdout) > 500
    source = "import os, time\nos.environ['TZ'] = 'Europe/Berlin'\ntime.tzset()\nprint(time.tzname)"
    assert run(prison, source).stdout == "('CET', 'CEST')\n"


@pytest.mark.gvisor
@pytest.mark.parametrize(
    "source",
    [
        "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    f.write('7')\n    f.seek(0)\n    print(f.read())",
        "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('7')\n    f.flush()\n    print(open(f.name).read())",
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as d:\n    p = os.path.join(d, 'x')\n    open(p, 'w').write('7')\n    print(open(p).read())",
        "import tempfile\nf = tempfile.SpooledTemporaryFile(max_size=10)\nf.write(b'7' * 100)\nf.seek(0)\nprint(f.read(1).decode())",
        "import os, tempfile\nfd, name = tempfile.mkstemp()\nos.write(fd, b'7')\nos.close(fd)\nprint(open(name).read())\nos.remove(name)",
        "with open('out.txt', 'w') as f:\n    f.write('7')\nprint(open('out.txt').read())",
        "with open('/tmp/out.txt', 'a') as f:\n    f.write('7')\nprint(open('out.txt').read())",
        "import csv\nwith open('t.csv', 'w', newline='') as f:\n    csv.writer(f).writerow([7])\nprint(next(csv.reader(open('t.csv')))[0])",
        "import sqlite3\nc = sqlite3.connect('/tmp/a.db')\nc.execute('create table t (n)')\nc.execute('insert into t values (7)')\nc.commit()\nprint(*c.execute('select n from t').fetchone())",
        "import os, shutil\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('7')\nshutil.copy('a/b/c', 'd')\nshutil.rmtree('a')\nos.rename('d', 'e')\nprint(open('e').read(), end='\\n' if os.listdir() == ['e'] else '')",
        "from pathlib import Path\np = Path('x.txt')\np.touch()\np.write_text('7')\np.chmod(0o600)\nprint(p.read_text())\np.unlink()",
        "import pickle, gzip, json\npickle.dump(7, gzip.open('x.gz', 'wb'))\njson.dump(7, open('x.json', 'w'))\nprint(json.load(open('x.json')))",
        "import shelve\nwith shelve.open('s') as s:\n    s['a'] = 7\nprint(shelve.open('s')['a'])",
        "import mmap, os\nf = os.open('m', os.O_RDWR | os.O_CREAT)\nos.ftruncate(f, 4096)\nm = mmap.mmap(f, 4096)\nm[0:1] = b'7'\nprint(os.read(f, 1).decode())",
        "import os\nos.truncate(open('t', 'wb').write(b'789') and 't', 1)\nprint(open('t').read())",
    ],
)  # fmt: skip
def test_files_of_its_own(prison: GvisorSandbox, source: str) -> None:
    made, after = results(prison, [source, EMPTY])
    assert (made.exit_status, made.stdout, made.stderr) == ("ok", "7\n", "")
    assert after.stdout == "[] /tmp\n"


@pytest.mark.gvisor
def test_a_file_is_at_most_4_mib_and_all_of_them_16(prison: GvisorSandbox) -> None:
    one = "f = open('x', 'wb')\nf.write(b'x' * {})\nf.close()\nprint('fits')"
    assert run(prison, one.format(4 << 20)).stdout == "fits\n"
    assert run(prison, one.format((4 << 20) + 1)).detail == "OSError, line 3: [Errno 27] File too large"
    many = "for n in range({}):\n    open(str(n), 'wb').write(b'x' * (4 << 20))\nprint('fit')"
    assert run(prison, many.format(3)).stdout == "fit\n"
    assert run(prison, many.format(5)).detail == "OSError, line 2: [Errno 28] No space left on device"
    assert run(prison, many.format(3)).stdout == "fit\n"


@pytest.mark.gvisor
@pytest.mark.parametrize("end", ["", "1 / 0", "import os; os.abort()", "while True: pass", "x = [0] * 10**9"])
def test_however_a_program_ends_nothing_is_left(prison: GvisorSandbox, end: str) -> None:
    from mmst.core.ports import Limits

    source = (
        f"import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a/b', 0)\nos.chmod('a', 0)\n{end}"
    )
    _, after = results(prison, [source, EMPTY], Limits(timeout=2.0))
    assert after.stdout == "[] /tmp\n"


@pytest.mark.gvisor
def test_more_files_than_can_be_removed_cost_only_the_sandbox(prison: GvisorSandbox) -> None:
    fill = "import os\nfor n in range(9000):\n    os.close(os.open(f'/tmp/{n}', os.O_CREAT))\nprint('filled')"
    before = [b.id for b in prison._pool]
    filled, after, last = results(prison, [fill, EMPTY, EMPTY])
    assert (filled.exit_status, filled.stdout) == ("ok", "filled\n")
    assert after.stdout == last.stdout == "[] /tmp\n"
    assert [b.id for b in prison._pool] != before


def test_a_traceback_names_the_program_as_before(box: Sandbox) -> None:
    e = run(box, "x = __file__\n1 / 0")
    assert e.stderr.splitlines()[1:] == [
        '  File "<program>", line 2, in <module>',
        "    1 / 0",
        "    ~~^~~",
        "ZeroDivisionError: division by zero",
    ]
