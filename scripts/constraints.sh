#!/usr/bin/env bash
# Resolve constraints.txt anew from pyproject.toml, for every platform.
set -euo pipefail
cd "$(dirname "$0")/.."
new=$(mktemp)
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
    --extra dev pyproject.toml --output-file "$new"
{
    echo "# Every package of the development environment, exactly, on every platform. Made by \`make constraints\`."
    cat "$new"
} > constraints.txt
rm "$new"
