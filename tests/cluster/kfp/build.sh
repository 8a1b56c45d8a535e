#!/usr/bin/env bash
# Kubeflow Pipelines' own programs, built from the source that KFP_SOURCE names, kept in the cache folder of
# $MMST_TEST_DATA/cluster: API server and persistence agent as programs, driver and launcher as images, and ML Metadata.
set -euo pipefail
shared=${MMST_TEST_DATA:?names the folder in which cluster/ is}/cluster