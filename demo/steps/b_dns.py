"""B. A pod finds Services by name: resolv.conf, search and ndots, A, AAAA, SRV, PTR."""

from __future__ import annotations

from demo.session import Tutorial
from demo.steps.scene import ANSWER, ensure_stage, servers

FULL = "service-test.default.svc.cluster.local"


def dns(t: Tutorial) -> None:
    ensure_stage(t)
    _files(t)
    _names(t)
    _cluster_dns(t)
    _records(t)
    _reverse(t)
    _other_settings(t)


def _files(t: Tutorial) -> None:
    t.run(
        "kubectl exec $POD -- cat /etc/resolv.conf",
        r"^search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local",
        r"^nameserver 10\.96\.0\.10$",
        r"^options ndots:5$",
    )
    pod = t.set("POD_IP", "kubectl get pod $POD -o jsonpath='{.status.podIP}'")
    t.run(
        "kubectl exec $POD -- cat /etc/hosts",
        r"^# Kubernetes-managed hosts file\.$",
        r"^127\.0\.0\.1\tlocalhost$",
        rf"^{pod}\tmy-nginx-\S+$",
    )
    t.run("kubectl apply -f dns-policies.yml", r"^pod/dns-none created$", r"^pod/dns-default created$")
    t.run("kubectl wait --for=condition=Ready pod/dns-none pod/dns-default --timeout=30s", r"dns-default condition met")
    t.run(
        "kubectl exec dns-none -- cat /etc/resolv.conf",
        r"^search default\.svc\.cluster\.local example\.test$",
        r"^nameserver 10\.96\.0\.10$",
        r"^options ndots:2 edns0$",
        why="dnsPolicy None takes what dnsConfig says",
    )
    t.run("kubectl exec dns-none -- cat /etc/hosts", r"^192\.0\.2\.7\tlegacy\.example\.test\tlegacy$")
    t.run(
        "kubectl exec dns-default -- cat /etc/resolv.conf",
        hides=[r"10\.96\.0\.10", r"cluster\.local"],
        why="dnsPolicy Default takes the node's",
    )
    t.run("kubectl delete -f dns-policies.yml --now", r"dns-none")


def _names(t: Tutorial) -> None:
    for name in ("service-test", FULL, f"{FULL}."):
        t.run(f"kubectl exec $POD -- curl -s {name}", ANSWER, within=5)
    t.run("kubectl exec $POD -- curl -s service-test.", status=6, why="a final dot: never searched, so no such host")
    output = t.run(
        "kubectl exec $POD -- sh -c 'for i in $(seq 30); do curl -s service-test; done'", ANSWER, why="thirty answers"
    )
    seen = sorted(set(servers(output)))
    t.check("all three pods appear in turn", "" if len(seen) == 3 else f"only {seen} answered")


def _cluster_dns(t: Tutorial) -> None:
    two = r"Endpoints: +10\.244\.\d+\.\d+:{0},10\.244\.\d+\.\d+:{0}$"
    t.run(
        "kubectl -n kube-system describe svc kube-dns",
        r"^IP: +10\.96\.0\.10$",
        r"^Port: +dns +53/UDP$",
        r"^Port: +dns-tcp +53/TCP$",
        r"^Port: +metrics +9153/TCP$",
        two.format(53),
        two.format(9153),
        within=5,
    )
    t.run(
        "kubectl -n kube-system get pod -l k8s-app=kube-dns -o wide",
        r"^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$",
        r"(^coredns-\S+ +1/1 +Running .*\n?){2}",
    )
    nodes = t.run(
        "kubectl -n kube-system get pod -l k8s-app=kube-dns -o jsonpath='{.items[*].spec.nodeName}'", r"\w+ \w+"
    )
    t.check("on two nodes", "" if len(set(nodes.split())) == 2 else f"both on {nodes}")


def _records(t: Tutorial) -> None:
    address = t.set("CLUSTER_IP", "kubectl get svc service-test -o jsonpath='{.spec.clusterIP}'")
    t.run(
        f"kubectl exec $POD -- nslookup {FULL}",
        r"^Server:\s+10\.96\.0\.10$",
        rf"^Name:\s+{FULL}$",
        rf"^Address.*{address}$",
    )
    t.run("kubectl exec $POD -- nslookup kube-dns.kube-system.svc.cluster.local", r"^Address(:\s+| 1: )10\.96\.0\.10$")
    t.run(f"kubectl exec $POD -- nslookup -query=A {FULL}", rf"^Address.*{address}$")
    t.run(
        f"kubectl exec $POD -- nslookup -query=SRV _http._tcp.{FULL}",
        rf"_http\._tcp\.{FULL}\s+service = 0 100 80 {FULL}\.$",
    )
    t.run(
        f"kubectl exec $POD -- dig {FULL} AAAA",
        r"status: NOERROR",
        r"ANSWER: 0",
        why="AAAA: NOERROR and empty on an IPv4 cluster",
    )
    t.run(f"kubectl exec $POD -- dig +noall +answer {FULL} A", rf"^{FULL}\.\s+30\s+IN\s+A\s+{address}$", why="TTL 30")
    t.run(
        "kubectl exec $POD -- dig +noall +comments _http._tcp.kube-dns.kube-system.svc.cluster.local SRV",
        r"status: NXDOMAIN",
        why="no SRV for a port that has no such name",
    )
    t.run(
        "kubectl create service clusterip unnamed --tcp=80 --dry-run=client -o yaml | sed '/- name:/s/- name:.*/-/' | kubectl apply -f -",
        r"service/unnamed created",
    )
    t.run(
        "kubectl exec $POD -- dig +noall +comments +answer _http._tcp.unnamed.default.svc.cluster.local SRV",
        r"status: NXDOMAIN",
        why="no SRV for an unnamed port",
    )
    t.run("kubectl delete service unnamed", r"deleted")


def _reverse(t: Tutorial) -> None:
    ips = t.set("POD_IPS", "kubectl get pod -l app=my-nginx -o jsonpath='{.items[*].status.podIP}'").split()
    for ip in ips:
        dashed = ip.replace(".", "-")
        t.run(f"kubectl exec $POD -- nslookup {ip}", rf"name = {dashed}\.service-test\.default\.svc\.cluster\.local\.$")
    t.run("kubectl exec $POD -- nslookup $CLUSTER_IP", r"name = service-test\.default\.svc\.cluster\.local\.$")
    t.run(
        "kubectl exec $POD -- dig nosuch.default.svc.cluster.local",
        r"status: NXDOMAIN",
        r"^cluster\.local\.\s+\d+\s+IN\s+SOA\s+ns\.dns\.cluster\.local\. hostmaster\.cluster\.local\. ",
        why="NXDOMAIN, with SOA",
    )
    t.run(
        "kubectl exec $POD -- nslookup nosuch.default.svc.cluster.local",
        r"NXDOMAIN|can't find",
        status=None,
    )


def _other_settings(t: Tutorial) -> None:
    t.note("The domain and the addresses follow the cluster's settings: a second cluster beside the first.")
    t.run(
        "seamark up --detach --data-dir $WORK/second --cluster-domain corp.internal --service-cidr 10.112.0.0/16",
        r"cluster ready in",
    )
    t.run("alias k2='kubectl --kubeconfig $WORK/second/admin.kubeconfig'; shopt -s expand_aliases")
    t.run("k2 get svc -A", r" kubernetes +ClusterIP +10\.112\.0\.1 ", r" kube-dns +ClusterIP +10\.112\.0\.10 ")
    t.run("seamark image build-pod-test --data-dir $WORK/second", r"pod_test")
    t.run("k2 run probe --image=192.168.10.33:80/k8s/pod_test:v0.1", r"pod/probe created")
    t.run("k2 wait --for=condition=Ready pod/probe --timeout=30s", r"condition met")
    t.run(
        "k2 exec probe -- cat /etc/resolv.conf",
        r"^search default\.svc\.corp\.internal svc\.corp\.internal corp\.internal",
        r"^nameserver 10\.112\.0\.10$",
    )
    t.run(
        "k2 exec probe -- nslookup kubernetes.default", r"kubernetes\.default\.svc\.corp\.internal", r"10\.112\.0\.1$"
    )
    t.run("seamark down --purge --data-dir $WORK/second", r"removed")
