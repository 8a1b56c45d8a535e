#!/usr/bin/env bash
# Make .venv with exactly the packages of constraints.txt and this project, editable.
# Does nothing when it is there and up to date; killed at any moment, the next call goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

NEEDED_GB=8   # the environment is 6 GB; unpacking needs the rest
READY=.venv/ready

stop() {  # what, why, remedy
    printf 'make: %s\n  why:    %s\n  remedy: %s\n' "$1" "$2" "$3" >&2
    exit 3
}

state=$({ pwd; cat constraints.txt pyproject.toml scripts/setup.sh; } | sha256sum)
[ -x .venv/bin/python ] && [ "$(cat $READY 2>/dev/null)" = "$state" ] && exit 0

python=
for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || stop "no Python 3.11 or 3.12 here" \
    "looked for ${PYTHON:-python3.11, python3.12 and python3 on the PATH}" \
    "apt-get install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11 ..."

free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
if [ ! -e $READY ] && [ "$free_kb" -lt $((NEEDED_GB * 1024 * 1024)) ]; then
    stop "too little disk: $((free_kb / 1024 / 1024)) GB free at $PWD" \
        "the packages (torch above all) need $NEEDED_GB GB" "free some, or clone the project to a larger disk"
fi

rm -f $READY
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "set-up: a Python environment in .venv ($("$python" --version))"
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 || stop "Python's venv module does not work" \
        "Debian and Ubuntu pack it apart from Python" \
        "apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
fi

echo "set-up: $(grep -c == constraints.txt) pinned packages (about a minute, a few GB; only once)"
start=$SECONDS
install() {
    if .venv/bin/uv --version >/dev/null 2>&1 || .venv/bin/python -m pip install --quiet -c constraints.txt uv; then
        # Hard links where the file system can, plain copies elsewhere: uv warns about the latter, needlessly.
        UV_LINK_MODE=${UV_LINK_MODE:-hardlink} .venv/bin/uv pip install --quiet --python .venv/bin/python \
            --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev]' && return
        echo "set-up: uv could not; trying pip, which takes some minutes" >&2
    fi
    .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
}
install || stop "the packages could not be installed" "the installer's own words stand above" \
    "see that the package index is reachable, then run the same command again: it goes on"
echo "$state" > $READY
echo "set-up: done in $((SECONDS - start)) s"
