#!/usr/bin/env bash
# The release on the node beside Kubeflow Pipelines, installed as docs/cluster.md says, with an MLflow server on this
# machine. Prints its address. up.sh comes first: its S3 server and its namespace are used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "${MMST_TEST_DATA:?names the folder in which cluster/ is}/cluster/environment.sh"
cd "$here/../../.."
export KUBECONFIG=$RUN/admin.kubeconfig
state=$RUN/kfp namespace=$MMST_NAMESPACE host=${KFP_ENDPOINT#http://} mlflow=15000
host=${host%:*}

MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true setsid "$PYTHON" -m mlflow server --workers 1 \
    --host "$host" --port $mlflow --allowed-hosts '*' --backend-store-uri "sqlite:///$state/mlflow.db" \
    --artifacts-destination "$state/mlflow" >"$state/log/mlflow" 2>&1 </dev/null &
echo $! >"$state/mlflow.pid"
"$PYTHON" -c 'import boto3; boto3.client("s3").create_bucket(Bucket="mmst")'
kubectl create secret generic mmst-s3 --namespace "$namespace" \
    --from-literal=AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" --from-literal=AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" >/dev/null
# The node has no storage class: a folder is its volume.
mkdir -p "$state/scratch"
chmod 777 "$state/scratch"
kubectl apply --server-side --filename - >/dev/null <<Y
apiVersion: v1
kind: PersistentVolume
metadata: {name: mmst-scratch}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  hostPath: {path: $state/scratch}
  claimRef: {name: mmst-scratch, namespace: $namespace}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: mmst-scratch, namespace: $namespace}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: mmst-scratch
  resources: {requests: {storage: 5Gi}}
Y
# Small enough for two cores.
cat >"$state/values.yaml" <<Y
store: s3://mmst/runs
secrets: [mmst-s3]
env: [AWS_ENDPOINT_URL=$AWS_ENDPOINT_URL, AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION]
sandbox: {checkers: 2, cpu: 300m, memory: 512Mi}
training: {cpu: "1", memory: 3Gi}
scratch: {existingClaim: mmst-scratch}
serving: {cpu: 700m, memory: 3Gi, startTimeout: 180}
mlflow: {address: "http://$host:$mlflow"}
kfp: {endpoint: "http://ml-pipeline.$namespace.svc:8888"}
Y
helm install mmst helm/mmst --namespace "$namespace" --values "$state/values.yaml" >"$state/log/helm"
echo "export MLFLOW_TRACKING_URI=http://$host:$mlflow"
