#!/usr/bin/env bash
# The tests on a cluster: on the one that KUBECONFIG names, else on one that is brought up from $MMST_TEST_DATA/cluster and
# taken down again, else on none: then pytest lists them as not run. First argument: api (an API server), node (a whole
# node: gVisor, the training operator, KServe; root) or kfp (Kubeflow Pipelines on such a node, from the source that
# KFP_SOURCE names). Further arguments go to pytest: `node -m "cluster and slow"` runs the whole demo on the node.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-api}
shift || true
case $level in
    api)
        tests=(tests/cluster --ignore tests/cluster/node -n 2 --dist loadfile)
        echo "test-cluster: an API server alone; images and what needs a node: LEVEL=node"
        ;;
    node) tests=(tests/cluster) ;;
    kfp) tests=(tests/cluster/test_kfp.py) ;;
    *)
        echo "test-cluster: LEVEL is api, node or kfp, not '$level'" >&2
        exit 2
        ;;
esac
shared=${MMST_TEST_DATA:-/nowhere}/cluster
kfp=$PWD/tests/cluster/kfp
export PATH=$PWD/.venv/bin:$PATH PYTHON=${PYTHON:-python3}

# Argo CD's and Flux's own definitions, for examples/gitops. Without them these examples are listed as not run.
gitops_definitions() {
    local modules folder
    modules=$(go env GOMODCACHE)
    folder=$(mktemp -d)
    (
        cd "$folder"
        go mod init definitions
        go mod download github.com/argoproj/argo-cd/v3@v3.5.7 github.com/fluxcd/helm-controller@v1.4.0 \
            github.com/fluxcd/kustomize-controller@v1.9.6 github.com/fluxcd/source-controller@v1.9.6
    ) >/dev/null 2>&1 || return 0
    kubectl apply --server-side \
        -f "$modules/github.com/argoproj/argo-cd/v3@v3.5.7/manifests/crds/application-crd.yaml" \
        -f "$modules/github.com/fluxcd/helm-controller@v1.4.0/config/crd/bases" \
        -f "$modules/github.com/fluxcd/kustomize-controller@v1.9.6/config/crd/bases" \
        -f "$modules/github.com/fluxcd/source-controller@v1.9.6/config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml" >/dev/null
}

# Our images, as files that the node imports when it comes up; built anew when what goes into them has changed.
our_images() {
    local now
    now=$(git ls-files -s images mmst components pipelines pyproject.toml constraints.txt | sha256sum; git diff HEAD | sha256sum)
    [ "$(cat "$cache/img/mmst.built" 2>/dev/null)" = "$now" ] && return 0
    if ! docker info >/dev/null 2>&1 && ! podman info >/dev/null 2>&1; then
        command -v buildah >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah; } >/dev/null
        # Where no registry can be reached, the base is made from Debian's packages.
        buildah inspect --type image localhost/local/base:1 >/dev/null 2>&1 ||
            buildah pull --quiet "docker-archive:$cache/img/base.tar" >/dev/null
        export BASE=${BASE:-localhost/local/base:1}
    fi
    scripts/images.sh --archive "$cache/img"
    echo "$now" >"$cache/img/mmst.built"
    say "our images are built"
}

if [ -z "${KUBECONFIG:-}" ] && [ -d "$shared" ]; then
    started=$SECONDS
    cache=${CLUSTER_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/test-cluster}
    say() { printf 'test-cluster: %s (%ds)\n' "$1" $((SECONDS - started)); }
    for program in go openssl bc curl; do
        command -v "$program" >/dev/null && continue
        echo "test-cluster: $program is missing. Remedy: install it, or name a cluster with KUBECONFIG" >&2
        exit 3
    done
    [ -x "$cache/x/bin/kubectl" ] || "$shared/packages.sh"
    controllers=(training kserve)
    [ "$level" != kfp ] || controllers+=(argo)
    if [ "$level" = api ]; then "$shared/build.sh" api; else "$shared/build.sh" api node "${controllers[@]}"; fi
    [ "$level" != kfp ] || "$kfp/build.sh"
    say "programs are there"
    if [ "$level" = api ]; then
        # A folder and ports of its own: a cluster that is up already is left alone.
        CLUSTER_ROOT=$(mktemp -d)
        ln -s "$cache/bin" "$cache/x" "$CLUSTER_ROOT"
        read -r API_PORT ETCD_PORT PEER_PORT < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(s.getsockname()[1] for s in sockets))')
        export CLUSTER_ROOT API_PORT ETCD_PORT PEER_PORT
        trap '"$shared/down.sh" --purge; rm -rf "$CLUSTER_ROOT"' EXIT
        "$shared/up.sh" >/dev/null
    else
        export CLUSTER_ROOT=$cache
        if [ -d "$cache/run/pids" ]; then
            echo "test-cluster: a node is up in $cache. Remedy: KUBECONFIG=$cache/run/admin.kubeconfig uses it, $shared/down.sh --purge ends it" >&2
            exit 3
        fi
        last=training-operator
        [ "$level" != kfp ] || last=argoexec
        [ -f "$cache/img/$last.tar" ] || "$shared/images.sh"
        our_images
        trap '"$kfp/down.sh"; "$shared/down.sh" --purge' EXIT
        "$shared/up.sh" --node >/dev/null
        "$shared/platform.sh" "${controllers[@]}"
    fi
    export PATH=$cache/bin:$cache/x/bin:$PATH KUBECONFIG=$CLUSTER_ROOT/run/admin.kubeconfig
    "$shared/crds.sh" >/dev/null
    gitops_definitions
    say "a cluster is up"
    if [ "$level" = kfp ]; then
        kubectl apply -k manifests/overlays/kind >/dev/null
        for part in up release; do
            variables=$("$kfp/$part.sh")
            eval "$variables"
        done
        say "Kubeflow Pipelines and a release are up"
    fi
fi
status=0
pytest "${tests[@]}" -m "cluster and not slow" "$@" || status=$?
[ -z "${started:-}" ] || say "done"
exit "$status"
