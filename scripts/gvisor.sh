#!/usr/bin/env bash
# Install gVisor (runsc), in which programs written by the model are run, if it is missing.
set -euo pipefail

PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin
command -v runsc >/dev/null && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null && as_root=(sudo -n)
fi
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || [ ${#as_root[@]} != 0 ]; }; then
    echo "set-up: gVisor (apt-get install runsc)"
    log=$(mktemp)
    "${as_root[@]}" apt-get install -y --no-install-recommends runsc >"$log" 2>&1 ||
        { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends runsc; } >"$log" 2>&1 ||
        tail -n 5 "$log" >&2
    rm -f "$log"
    command -v runsc >/dev/null && exit 0
fi
cat >&2 <<'EOF'
make: gVisor (runsc) is missing, and could not be installed from here
  why:    programs that a model wrote are run in it, away from this machine's files and network
  remedy: sudo apt-get install runsc   (Debian; elsewhere see gvisor.dev, "Installation")
          or, for programs that you would run yourself, without any confinement:
          .venv/bin/mmst run --recipe demo --set check.sandbox=subprocess
EOF
exit 3
