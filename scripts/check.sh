#!/usr/bin/env bash
# What `make check`, the pre-commit hooks and CI agree on. Runs all checks, fails if one did.
cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/.venv/bin:$PATH
failed=()
check() {
    echo "check: $1"
    "${@:2}" || failed+=("$1")
}
check lint ruff check --quiet .
check format ruff format --check --quiet .
check types mypy --no-error-summary mmst components pipelines tools bench tests docs/examples/plugin/mmst_example
check imports lint-imports --no-logo
check docs python docs/generate.py --check
if [ ${#failed[@]} != 0 ]; then
    echo "check: failed: ${failed[*]}"
    exit 1
fi
echo "check: all fine"
