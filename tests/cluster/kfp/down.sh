#!/usr/bin/env bash
# Stop what up.sh (and release.sh) started, and nothing else. The state goes with the node's.
. "${MMST_TEST_DATA:?names the folder in which cluster/ is}/cluster/environment.sh"
for file in "$RUN"/kfp/*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
    rm -f "$file"
done
exit 0
