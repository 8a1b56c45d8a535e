#!/usr/bin/env bash
# Build the container images, all or those named, with docker, podman or buildah, whichever works here.
#
#     scripts/images.sh [--archive FOLDER] [pipeline|trainer|server|checker]…
#
# --archive also writes what a node without a registry imports (`ctr -n k8s.io images import FILE`): FOLDER/pipeline.tar,
# checker.tar, and model.tar with trainer and server, whose 5 GB of packages stand in it once.
# PACKAGES="numpy sympy scipy pandas" says what programs may import in the checker; without it numpy and sympy.
# BASE names another Debian 12 image to start from; PIP_INDEX_URL and UV_DEFAULT_INDEX a package index.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {  # what, remedy
    printf 'images: %s\n  remedy: %s\n' "$1" "$2" >&2
    exit 3
}

archive=
names=()
while [ $# != 0 ]; do
    case $1 in
        --archive)
            [ $# -gt 1 ] || stop "--archive names no folder" "scripts/images.sh --archive FOLDER"
            mkdir -p "$2"
            archive=$(cd "$2" && pwd)
            shift
            ;;
        pipeline | trainer | server | checker) names+=("$1") ;;
        *) stop "there is no image '$1'" "name pipeline, trainer, server or checker, or none for all" ;;
    esac
    shift
done
[ ${#names[@]} != 0 ] || names=(checker pipeline trainer server)
has() { [[ " ${names[*]} " == *" $1 "* ]]; }

if docker info >/dev/null 2>&1; then
    engine=docker
elif podman info >/dev/null 2>&1; then
    engine=podman
elif buildah info >/dev/null 2>&1; then
    engine=buildah
else
    stop "no docker (with its daemon), podman or buildah works here" "apt-get install buildah, and run this as root"
fi

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' mmst/version.py)
revision=$(git rev-parse HEAD 2>/dev/null || true)
image() { echo "docker.io/mmst/$1:$version"; }  # the full name of what Kubernetes calls mmst/NAME:VERSION

options=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")
[ -z "${BASE:-}" ] || options+=(--build-arg "BASE=$BASE")
for name in PIP_INDEX_URL UV_DEFAULT_INDEX PACKAGES; do
    [ -z "${!name:-}" ] || options+=(--build-arg "$name=${!name}")
done
case $engine in
    docker | podman) build=("$engine" build) ;;
    # In a container there is often nothing but chroot to build with; it needs root alone.
    buildah) build=(buildah build --layers --isolation chroot --network host --cap-add all) ;;
esac
if [ "$engine" != docker ] && [ -n "${SSL_CERT_FILE:-}" ]; then
    # A company's own certificate authority: what this machine trusts, the build trusts.
    options+=(--build-arg "SSL_CERT_FILE=$SSL_CERT_FILE" --volume "$(dirname "$SSL_CERT_FILE"):$(dirname "$SSL_CERT_FILE"):ro")
fi

make_image() {  # name, further options
    local name=$1 start=$SECONDS
    "${build[@]}" "${options[@]}" "${@:2}" --file "images/$name/Containerfile" --tag "$(image "$name")" . >&2 ||
        stop "the image $name could not be built with $engine" "its last lines stand above; the same command goes on"
    echo "images: mmst/$name:$version built in $((SECONDS - start)) s"
}

save() {  # file, names
    local file=$archive/$1.tar part=$archive/$1.part layout start=$SECONDS
    shift
    if [ "$engine" = buildah ]; then
        layout=$(mktemp -d "$archive/layout-XXXXXX")
        for name in "$@"; do
            buildah push --quiet --compression-format zstd --compression-level 1 "$(image "$name")" "oci:$layout:$(image "$name")"
        done
        # containerd takes an image's name from an annotation of its own.
        sed -i 's#"org.opencontainers.image.ref.name":"\([^"]*\)"#&,"io.containerd.image.name":"\1"#g' "$layout/index.json"
        tar -C "$layout" -cf "$part" . && rm -rf "$layout"
    else
        local several=()
        [ "$engine" != podman ] || several=(--multi-image-archive)
        "$engine" save "${several[@]}" --output "$part" $(for name in "$@"; do image "$name"; done)
    fi
    mv "$part" "$file"
    echo "images: $file, $(du -m "$file" | cut -f1) MB in $((SECONDS - start)) s"
}

if has checker; then make_image checker; fi
if has pipeline; then make_image pipeline; fi
if has trainer || has server; then make_image model; fi
for name in trainer server; do
    if has $name; then make_image $name --build-arg "MODEL=$(image model)"; fi
done
if [ -n "$archive" ]; then
    for name in checker pipeline; do
        if has $name; then save $name $name; fi
    done
    shared=()
    for name in trainer server; do
        if has $name; then shared+=("$name"); fi
    done
    [ ${#shared[@]} = 0 ] || save model "${shared[@]}"
fi
