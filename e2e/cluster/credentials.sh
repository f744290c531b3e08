# The cluster's authority, the certificate of each of its parts, and a kubeconfig for each client.
# In: an empty folder, the addresses in node/addresses.sh. Out in it: ca.crt, sa.key, sa.pub, and for each part
# NAME.crt, NAME.key and perhaps NAME.kubeconfig.
# Must not know: processes, namespaces.
# shellcheck shell=bash

# Fills a folder; what openssl says goes to a log beside it.
make_credentials() {
    local pki=$1 log=$1.log
    mkdir -p "$pki"
    (
        cd "$pki"
        umask 077
        make_authority
        make_account_key
        certificate apiserver /CN=kube-apiserver "$apiserver_names"
        certificate node "/O=system:nodes/CN=system:node:$node_name" "DNS:$node_name,IP:$node_address"
        certificate kubelet-client /O=system:masters/CN=apiserver
        certificate admin /O=system:masters/CN=admin
        certificate controllers /CN=system:kube-controller-manager
        certificate scheduler /CN=system:kube-scheduler
        certificate proxy /CN=system:kube-proxy
        for client in node admin controllers scheduler proxy; do
            kubeconfig_of "$client" >"$client.kubeconfig"
        done
    ) >"$log" 2>&1 || die "openssl made no certificates; see $log"
}

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

make_authority() {
    new_key ca
    openssl req -x509 -new -key ca.key -days 30 -subj "/CN=throw-away cluster" -out ca.crt \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

make_account_key() {
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key
    openssl pkey -in sa.key -pubout -out sa.pub
}

# certificate NAME SUBJECT [NAMES]: with names it may serve as well.
certificate() {
    local name=$1 subject=$2 names=${3:-}
    new_key "$name"
    openssl req -new -key "$name.key" -subj "$subject" -out "$name.csr"
    {
        echo basicConstraints=CA:FALSE
        echo "extendedKeyUsage=clientAuth${names:+,serverAuth}"
        [ -z "$names" ] || echo "subjectAltName=$names"
    } >"$name.extensions"
    openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \
        -extfile "$name.extensions" -out "$name.crt"
    rm "$name.csr" "$name.extensions"
}

kubeconfig_of() {
    cat <<YAML
apiVersion: v1
kind: Config
current-context: ghostship
contexts:
  - name: ghostship
    context: { cluster: ghostship, user: $1 }
clusters:
  - name: ghostship
    cluster:
      server: https://$node_address:6443
      certificate-authority-data: $(base64 -w0 ca.crt)
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 "$1.crt")
      client-key-data: $(base64 -w0 "$1.key")
YAML
}
