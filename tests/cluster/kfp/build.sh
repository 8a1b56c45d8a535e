#!/usr/bin/env bash
# Kubeflow Pipelines' own programs, built from the source that KFP_SOURCE names, kept in the cache folder of
# ../shared/cluster: API server and persistence agent as programs, driver and launcher as images, and ML Metadata.
set -euo pipefail
shared=$(cd "$(dirname "$0")/../../../../shared/cluster" && pwd)
. "$shared/environment.sh"
made=$ROOT/kfp
[ ! -f "$made/complete" ] || exit 0
if [ ! -f "${KFP_SOURCE:-}/backend/src/apiserver/main.go" ]; then
    echo "kfp: KFP_SOURCE names no source of Kubeflow Pipelines. Remedy: KFP_SOURCE=FOLDER with a checkout of 2.17" >&2
    exit 3
fi
mkdir -p "$made/bin" "$ROOT/img"

command -v mariadbd >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends mariadb-server-core; } >/dev/null
# ML Metadata's server is C++ that Debian lacks; its Python package has the same code inside.
"$PYTHON" -m venv "$made/metadata"
"$made/metadata/bin/pip" install --quiet ml-metadata==1.17.1
kustomize=$KFP_SOURCE/manifests/kustomize
cp "$KFP_SOURCE/backend/src/apiserver/config/config.json" "$made/"
cp "$kustomize/base/pipeline/cluster-scoped/scheduled-workflow-crd.yaml" "$made/"
cp "$kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml" "$made/argo.yaml"

export GOFLAGS="-buildvcs=false ${GOFLAGS:-}" # the caller's may say -modfile
for package in v2/cmd/driver v2/cmd/launcher-v2 apiserver agent/persistence; do
    began=$SECONDS cgo=0
    [ $package != apiserver ] || cgo=1 # it links SQLite
    (cd "$KFP_SOURCE" && CGO_ENABLED=$cgo go build -trimpath -ldflags "-s -w" -o "$made/bin/" "./backend/src/$package")
    echo "kfp: $package built in $((SECONDS - began)) s"
done
for name in driver launcher-v2; do
    folder=$made/$name
    mkdir -p "$folder/bin" "$folder/etc" "$folder/tmp"
    chmod 1777 "$folder/tmp"
    cp "$made/bin/$name" "$folder/bin/"
    echo "hosts: files dns" >"$folder/etc/nsswitch.conf"
    "$PYTHON" "$shared/mkimage.py" "$ROOT/img/kfp-$name.tar" "local/kfp-$name:1" "$folder" \
        --entrypoint "[\"/bin/$name\"]" --user 65532 --env PATH=/bin
done
touch "$made/complete"
