#!/usr/bin/env bash
# Lint the chart and render each of its scenarios to build/chart. Needs helm; `make test-cluster` builds one where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:${CLUSTER_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/test-cluster}/bin
if ! command -v helm >/dev/null; then
    echo "chart: helm is missing. Remedy: install Helm (helm.sh), or run \`make test-cluster\` once, which builds it" >&2
    exit 3
fi
mkdir -p build/chart
for values in helm/mmst/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    helm lint --quiet --strict helm/mmst --values "$values" --namespace mmst --set requireCRDs=false
    helm template mmst helm/mmst --values "$values" --namespace mmst --set requireCRDs=false >"build/chart/$name.yaml"
    printf 'chart: %-20s %2d objects\n' "$name" "$(grep -c '^kind: ' "build/chart/$name.yaml")"
done
