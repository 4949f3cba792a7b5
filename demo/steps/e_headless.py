"""E. Headless Services: names that resolve to the pods themselves; StatefulSets with stable names."""

from __future__ import annotations

from demo.session import Tutorial
from demo.steps.scene import ensure_stage


def headless(t: Tutorial) -> None:
    ensure_stage(t)
    _created(t)
    _described(t)
    _resolved(t)
    _stateful(t)


def _created(t: Tutorial) -> None:
    t.run(
        'kubectl create service clusterip service-headless-cmd --clusterip="None"',
        r"^service/service-headless-cmd created$",
    )
    t.run("kubectl get svc", r"^service-headless-cmd +ClusterIP +None +<none> +<none> ")
    t.run("kubectl apply -f service-headless.yml", r"^service/service-headless created$")
    t.run("kubectl get svc", r"^service-headless +ClusterIP +None +<none> +<none> ")
    t.run("kubectl delete service service-test service-headless-cmd", r'"service-test" deleted')


def _described(t: Tutorial) -> None:
    t.run(
        "kubectl describe service service-headless",
        r"^Selector: +app=my-nginx$",
        r"^Type: +ClusterIP$",
        r"^IP Family Policy: +SingleStack$",
        r"^IP Families: +IPv4$",
        r"^IP: +None$",
        r"^IPs: +None$",
        r"^Session Affinity: +None$",
    )
    t.run(
        "kubectl describe ep service-headless",
        r"service\.kubernetes\.io/headless=$",
        r"endpoints\.kubernetes\.io/last-change-trigger-time: \d{4}-\d\d-\d\dT",
        r"^ +Addresses: +10\.244\.\d+\.\d+,10\.244\.\d+\.\d+,10\.244\.\d+\.\d+$",
        r"^ +NotReadyAddresses: +<none>$",
        within=5,
    )


def _resolved(t: Tutorial) -> None:
    ips = t.set("POD_IPS", "kubectl get pod -l app=my-nginx -o jsonpath='{.items[*].status.podIP}'").split()
    t.run(
        "kubectl exec $POD -- nslookup service-headless.default.svc.cluster.local",
        *(rf"^Address.*{ip}$" for ip in ips),
        within=5,
        why="the pods' own addresses",
    )
    for ip in ips:
        name = f"{ip.replace('.', '-')}.service-headless.default.svc.cluster.local."
        t.run(f"kubectl exec $POD -- nslookup {ip}", rf"name = {name}$", within=5)


def _stateful(t: Tutorial) -> None:
    t.run("kubectl apply -f stateful.yml", r"^statefulset\.apps/db created$")
    t.run(
        "kubectl rollout status statefulset db --timeout=60s",
        r"(3 pods at revision|rolling update complete|roll out complete)",
    )
    t.run("kubectl get pod -l app=db", r"^db-0 +1/1", r"^db-1 +1/1", r"^db-2 +1/1")
    born = t.run(
        "kubectl get pod -l app=db --sort-by=.status.startTime -o jsonpath='{.items[*].metadata.name}'",
        r"db-0 db-1 db-2",
        why="in order",
    )
    t.check("db-0 before db-1 before db-2", "" if born.split() == ["db-0", "db-1", "db-2"] else born)
    name = "db-0.db.default.svc.cluster.local"
    first = t.set("DB_IP", "kubectl get pod db-0 -o jsonpath='{.status.podIP}'")
    t.run(f"kubectl exec $POD -- nslookup {name}", rf"^Address.*{first}$")
    t.run("kubectl exec $POD -- nslookup $DB_IP", rf"name = {name}\.$")
    t.run("kubectl delete pod db-0", r'pod "db-0" deleted')
    t.run("kubectl wait --for=condition=Ready pod/db-0 --timeout=30s", r"condition met", within=30)
    second = t.set("DB_IP", "kubectl get pod db-0 -o jsonpath='{.status.podIP}'")
    t.check(f"the replaced pod has an address of its own: {first}, then {second}", "" if second else "no address")
    t.run(f"kubectl exec $POD -- nslookup {name}", rf"^Address.*{second}$", within=5, why="the name follows the pod")
    t.run("kubectl exec $POD -- nslookup $DB_IP", rf"name = {name}\.$", within=5)
    t.run("kubectl delete -f stateful.yml -f service-headless.yml", r'"db" deleted')
