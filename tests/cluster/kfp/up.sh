#!/usr/bin/env bash
# Kubeflow Pipelines on the node that is up: its programs on this machine, behind Services of the namespace in which
# the release and the runs' pods are. Prints the variables that tests/cluster/test_kfp.py wants. build.sh comes first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "${MMST_TEST_DATA:?names the folder in which cluster/ is}/cluster/environment.sh"
export KUBECONFIG=$RUN/admin.kubeconfig
made=$ROOT/kfp state=$RUN/kfp namespace=${MMST_NAMESPACE:-mmst}
host=$(kubectl get node --output jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')
database=13306 s3=19000 metadata=18080 http=18888 grpc=18887
keys=(AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test) # of a server that takes any
mkdir -p "$state/log"

start() { # name, address, port, command: its process id goes where down.sh finds it
    local name=$1 address=$2 port=$3
    shift 3
    setsid "$@" >"$state/log/$name" 2>&1 </dev/null &
    echo $! >"$state/$name.pid"
    for _ in $(seq 600); do
        sleep 0.2
        kill -0 "$(cat "$state/$name.pid")" 2>/dev/null || break
        (: <"/dev/tcp/$address/$port") 2>/dev/null && return 0
    done
    tail -5 "$state/log/$name" >&2
    echo "kfp: $name does not answer on port $port. Remedy: its log is $state/log/$name" >&2
    exit 4
}

# An empty folder will do for MariaDB: no accounts, no passwords, and it listens on this machine only.
mkdir -p "$state/database"
start database 127.0.0.1 $database mariadbd --no-defaults --user=root --datadir="$state/database" --bind-address=127.0.0.1 \
    --port=$database --socket="$state/database.socket" --skip-grant-tables --skip-networking=0
start s3 "$host" $s3 env "${keys[@]}" "$PYTHON" "$here/../../moto_s3.py" "$host" $s3 --threads
start metadata "$host" $metadata "$made/metadata/bin/python" "$here/metadata.py" "$host" $metadata "$state/metadata.db"

kubectl apply --server-side --filename "$made/scheduled-workflow-crd.yaml" >/dev/null
# Argo as Kubeflow configures it, but for where its artifacts lie.
sed -e "s/seaweedfs.*:9000/$host:$s3/" -e 's/\$(kfp-artifact-bucket-name)/mlpipeline/' -e "s/\$(kfp-namespace)/$namespace/" \
    "$made/argo.yaml" | kubectl apply --server-side --force-conflicts --namespace argo --filename - >/dev/null
kubectl apply --server-side --namespace "$namespace" --filename - >/dev/null <<Y
apiVersion: v1
kind: Secret
metadata: {name: mlpipeline-minio-artifact}
stringData: {accesskey: test, secretkey: test}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kfp-launcher}
data:
  defaultPipelineRoot: s3://mlpipeline/v2/artifacts
  providers: |
    s3:
      default:
        endpoint: http://$host:$s3
        region: us-east-1
        disableSSL: true
        credentials:
          secretRef: {secretName: mlpipeline-minio-artifact, accessKeyKey: accesskey, secretKeyKey: secretkey}
---
apiVersion: v1
kind: Service
metadata: {name: ml-pipeline}
spec: {ports: [{name: http, port: 8888}, {name: grpc, port: 8887}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ml-pipeline, labels: {kubernetes.io/service-name: ml-pipeline}}
addressType: IPv4
ports: [{name: http, port: $http}, {name: grpc, port: $grpc}]
endpoints: [{addresses: ["$host"]}]
---
apiVersion: v1
kind: Service
metadata: {name: metadata-grpc-service}
spec: {ports: [{name: grpc, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metadata-grpc-service, labels: {kubernetes.io/service-name: metadata-grpc-service}}
addressType: IPv4
ports: [{name: grpc, port: $metadata}]
endpoints: [{addresses: ["$host"]}]
Y

# It looks for its kubeconfig at home only, and wants the address of a server that draws pictures; nothing here asks one.
mkdir -p "$state/home/.kube"
cp "$KUBECONFIG" "$state/home/.kube/config"
start apiserver "$host" $http env HOME="$state/home" POD_NAMESPACE="$namespace" \
    ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST=none ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT=1 \
    DBCONFIG_MYSQLCONFIG_HOST=127.0.0.1 DBCONFIG_MYSQLCONFIG_PORT=$database DBCONFIG_MYSQLCONFIG_USER=root \
    OBJECTSTORECONFIG_HOST="$host" OBJECTSTORECONFIG_PORT=$s3 OBJECTSTORECONFIG_ACCESSKEY=test OBJECTSTORECONFIG_SECRETACCESSKEY=test \
    V2_DRIVER_IMAGE=local/kfp-driver:1 V2_DRIVER_COMMAND=driver \
    V2_LAUNCHER_IMAGE=local/kfp-launcher-v2:1 V2_LAUNCHER_COMMAND=launcher-v2 \
    "$made/bin/apiserver" --config="$made" --logtostderr=true --httpPortFlag=:$http --rpcPortFlag=:$grpc
# The agent reads a token from one fixed place, which only it sees; a Kubeflow of one user does not look at it.
start agent "$host" $http unshare --mount sh -c '
mount -t tmpfs none /run && mkdir -p /run/secrets/kubeflow/tokens && printf none >/run/secrets/kubeflow/tokens/persistenceagent-sa-token
exec "$@"' agent "$made/bin/persistence" --kubeconfig="$KUBECONFIG" --namespace="$namespace" --logtostderr=true \
    --mlPipelineAPIServerName="$host" --mlPipelineServiceHttpPort=$http --mlPipelineServiceGRPCPort=$grpc

cat <<Y
export KFP_ENDPOINT=http://$host:$http MMST_NAMESPACE=$namespace KFP_PIPELINE_ROOT=s3://mlpipeline/v2/artifacts
export AWS_ENDPOINT_URL=http://$host:$s3 AWS_DEFAULT_REGION=us-east-1 ${keys[*]}
Y
