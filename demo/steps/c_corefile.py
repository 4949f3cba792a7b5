"""C. The Corefile in its ConfigMap: looked at, edited with kubectl edit, broken, mended."""

from __future__ import annotations

from demo.session import Tutorial
from demo.steps.scene import ensure_stage

LIVE = 60
"""Seconds in which an edit must be live by itself. The peer needs the kubelet's sync plus the reload interval."""


def corefile(t: Tutorial) -> None:
    ensure_stage(t)
    _look(t)
    _edit(t)
    _hosts_without_fallthrough(t)
    _forward_zone(t)
    _broken(t)


def _look(t: Tutorial) -> None:
    t.run("kubectl -n kube-system get cm", r"^coredns +1 +\d+[smh]")
    t.run(
        "kubectl -n kube-system describe configmap coredns",
        r"^\.:53 \{$",
        r"^\s+errors$",
        r"^\s+health \{$",
        r"^\s+lameduck 5s$",
        r"^\s+ready$",
        r"^\s+kubernetes cluster\.local in-addr\.arpa ip6\.arpa \{$",
        r"^\s+pods insecure$",
        r"^\s+fallthrough in-addr\.arpa ip6\.arpa$",
        r"^\s+ttl 30$",
        r"^\s+prometheus :9153$",
        r"^\s+forward \. /etc/resolv\.conf \{$",
        r"^\s+max_concurrent 1000$",
        r"^\s+cache 30$",
        r"^\s+loop$",
        r"^\s+reload$",
        r"^\s+loadbalance$",
    )


def _edit(t: Tutorial) -> None:
    t.run("export KUBE_EDITOR=$PWD/edit-corefile")
    t.run("EDIT=except-and-hosts kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
    t.run(
        "kubectl -n kube-system logs -l k8s-app=kube-dns --prefix",
        r"Reloading complete(.*\n)+.*Reloading complete",
        within=LIVE,
        why="live by itself, through reload",
    )
    t.run(
        "kubectl exec $POD -- ping -c 1 -W 1 harbor.test.com",
        r"^PING harbor\.test\.com \(192\.168\.10\.33\)",
        status=None,
    )
    t.note("While both DNS pods are replaced, a pod keeps asking; every question must be answered.")
    t.run(
        "kubectl exec $POD -- sh -c 'for i in $(seq 40); do "
        "nslookup kubernetes.default.svc.cluster.local >/dev/null || echo failed; sleep 0.2; done; echo asked' "
        "> $WORK/asking 2>&1 & ASKING=$!"
    )
    t.run("kubectl -n kube-system delete pod -l k8s-app=kube-dns", r'(pod "coredns-\S+" deleted.*\n?){2}')
    t.run(
        "kubectl -n kube-system get pod -l k8s-app=kube-dns", r"(^coredns-\S+ +1/1 +Running +0 .*\n?){2}", within=LIVE
    )
    t.run("wait $ASKING; cat $WORK/asking", r"^asked$", hides=[r"failed"], why="no question failed meanwhile")
    t.run("kubectl exec $POD -- ping -c 1 -W 1 www.baidu.com", r"bad address 'www\.baidu\.com'", status=1)
    t.run(
        "kubectl exec $POD -- ping -c 1 -W 1 harbor.test.com",
        r"^PING harbor\.test\.com \(192\.168\.10\.33\)",
        status=None,
    )
    t.run("kubectl exec $POD -- dig +noall +comments www.baidu.com", r"status: SERVFAIL", why="except: no next plugin")
    t.run(
        "kubectl exec $POD -- dig +noall +answer harbor.test.com",
        r"^harbor\.test\.com\.\s+\d+\s+IN\s+A\s+192\.168\.10\.33$",
    )
    t.run(
        "kubectl exec $POD -- nslookup service-test.default.svc.cluster.local",
        r"^Name:\s+service-test",
        why="hosts falls through",
    )


def _hosts_without_fallthrough(t: Tutorial) -> None:
    t.run("EDIT=no-fallthrough kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
    t.run(
        "kubectl exec $POD -- dig +noall +comments service-test.default.svc.cluster.local",
        r"status: SERVFAIL",
        within=LIVE,
        why="hosts without fallthrough ends its zone",
    )
    t.run("EDIT=fallthrough kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
    t.run("kubectl exec $POD -- nslookup service-test.default.svc.cluster.local", r"^Name:\s+service-test", within=LIVE)


def _forward_zone(t: Tutorial) -> None:
    t.run("kubectl apply -f upstreams.yml", r"deployment\.apps/upstream created")
    t.run("kubectl rollout status deployment upstream --timeout=30s", r"successfully rolled out")
    t.run("export UPSTREAMS=\"$(kubectl get pod -l app=upstream -o jsonpath='{.items[*].status.podIP}')\"")
    t.run("EDIT=forward-zone kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
    t.run(
        "kubectl -n kube-system get cm coredns -o jsonpath='{.data.Corefile}'",
        r"forward corp\.example 10\.244\.\d+\.\d+ 10\.244\.\d+\.\d+",
    )
    ask = "kubectl exec $POD -- dig +noall +answer intranet.corp.example"
    t.run(ask, r"192\.0\.2\.10$", within=LIVE, why="one domain goes to its own name servers")
    t.run("kubectl scale deployment upstream --replicas=1", r"scaled")
    t.run(
        f"for i in 1 2 3 4 5; do {ask.replace('answer', 'comments')}; done",
        r"(status: NOERROR[^$]*){5}",
        why="one of the two is enough",
        within=10,
    )
    t.run(
        "kubectl exec $POD -- dig +noall +comments other.corp.example",
        r"status: SERVFAIL",
        why="what the upstream says is passed on",
    )
    t.run("kubectl delete -f upstreams.yml", r"deleted")


def _broken(t: Tutorial) -> None:
    t.run("EDIT=broken kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
    t.set("DNS_POD", "kubectl -n kube-system get pod -l k8s-app=kube-dns -o jsonpath='{.items[0].metadata.name}'")
    t.run(
        "kubectl -n kube-system logs $DNS_POD",
        r"Corefile:\d+.*kubernets",
        within=LIVE,
        why="the pod's log names line and word",
    )
    t.run("kubectl -n kube-system get events", r"Corefile:\d+.*kubernets", within=10, why="and so does an Event")
    t.run(
        "kubectl exec $POD -- nslookup service-test.default.svc.cluster.local",
        r"^Name:\s+service-test",
        why="the old one stays in service",
    )
    t.run("EDIT=mended kubectl edit configmap coredns -n kube-system", r"^configmap/coredns edited$")
