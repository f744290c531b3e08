# The networks of the node. All but the link to the host exist only inside the node's namespaces.
# The ranges of pods and Services are named once more in kubelet.yaml, network.conflist and manifests/coredns.yaml.
# shellcheck shell=bash disable=SC2034

node_name=node1
link=ghostship0
host_address=10.213.0.1
node_address=10.213.0.2
link_bits=30
pod_range=10.214.0.0/16
service_range=10.215.0.0/16
apiserver_names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
apiserver_names+=,DNS:kubernetes.default.svc.cluster.local,IP:10.215.0.1,IP:$node_address
