"""F. Endpoints follow the pods; names and rules appear and vanish with them."""

from __future__ import annotations

from demo.session import Tutorial
from demo.steps.scene import ANSWER, ensure_stage

MORE = r"10\.244\.\d+\.\d+:80,10\.244\.\d+\.\d+:80,10\.244\.\d+\.\d+:80 \+ 2 more\.\.\."


def endpoints(t: Tutorial) -> None:
    ensure_stage(t, replicas=5)
    t.run("kubectl describe svc service-test | grep -i Endpoints", rf"Endpoints: +{MORE}", within=10)
    t.run("kubectl get endpoints service-test", rf"^service-test +{MORE} ", within=5)
    t.run("kubectl get endpointslices -l kubernetes.io/service-name=service-test", r"^service-test-\w{5} +IPv4 +80 ")
    t.set("CLUSTER_IP", "kubectl get svc service-test -o jsonpath='{.spec.clusterIP}'")
    _pod_replaced(t)
    _scaled(t)
    _gone(t)


def _pod_replaced(t: Tutorial) -> None:
    victim = t.set("VICTIM", "kubectl get pod -l app=my-nginx -o jsonpath='{.items[-1:].metadata.name}'")
    gone = t.set("VICTIM_IP", "kubectl get pod $VICTIM -o jsonpath='{.status.podIP}'")
    t.run(
        "seamark shell node2 --data-dir $DATA -- sh -c "
        '"for i in \\$(seq 100); do curl -s --max-time 2 $CLUSTER_IP || echo failed \\$?; sleep 0.02; done" > $WORK/curling & CURLING=$!'
    )
    t.run("kubectl delete pod $VICTIM", rf'pod "{victim}" deleted')
    t.run("kubectl rollout status deployment my-nginx --timeout=30s", r"successfully rolled out")
    t.run("kubectl get endpoints service-test -o jsonpath='{.subsets[*].addresses[*].ip}'", hides=[rf"\b{gone}\b"])
    t.run(
        "kubectl get endpointslices -l kubernetes.io/service-name=service-test -o jsonpath='{.items[*].endpoints[*].addresses[0]}'",
        hides=[rf"\b{gone}\b"],
        within=5,
    )
    t.run("kubectl get endpoints service-test", rf"{MORE}", within=10)
    t.run("wait $CURLING; grep -c kubernetes $WORK/curling", r"^100$", why="100 requests meanwhile, 100 answers")
    t.run("grep failed $WORK/curling", status=1, why="no error")


def _scaled(t: Tutorial) -> None:
    t.run("kubectl scale deployment my-nginx --replicas=1", r"scaled")
    t.run("kubectl get endpoints service-test", r"^service-test +10\.244\.\d+\.\d+:80 ", within=10)
    t.run("kubectl scale deployment my-nginx --replicas=3", r"scaled")
    t.run("kubectl get endpoints service-test", r"^service-test +(10\.244\.\d+\.\d+:80,?){3} ", within=15)
    t.run("kubectl run client --image=192.168.10.33:80/k8s/pod_test:v0.1", r"pod/client created")
    t.run("kubectl wait --for=condition=Ready pod/client --timeout=30s", r"condition met")
    t.run("kubectl exec client -- curl -s service-test", ANSWER)


def _gone(t: Tutorial) -> None:
    t.run("kubectl delete deployment my-nginx", r'"my-nginx" deleted')
    t.run("kubectl get endpoints service-test", r"^service-test +<none> ", within=10)
    t.run(
        "time kubectl exec client -- curl -sS --max-time 5 service-test",
        r"(Connection refused|Failed to connect)",
        r"real\s+0m[0-1]\.",
        status=None,
        within=5,
        why="a Service without endpoints refuses at once",
    )
    t.run("kubectl delete service service-test", r'"service-test" deleted')
    t.run("kubectl get endpoints service-test", r"not found", status=1, within=5)
    t.run(
        "kubectl exec client -- dig +noall +comments service-test.default.svc.cluster.local",
        r"status: NXDOMAIN",
        within=5,
        why="the name is gone",
    )
    t.run(
        'seamark shell node1 --data-dir $DATA -- nft list ruleset | grep -c "$CLUSTER_IP"',
        r"^0$",
        status=1,
        within=5,
        why="the rules are gone",
    )
    t.run("kubectl delete pod client --now", r"deleted")
