"""D. A Service spreads its connections; session affinity keeps a client at one pod, until its timeout."""

from __future__ import annotations

import re
from collections import Counter

from demo.session import Tutorial
from demo.steps.scene import ANSWER, CLUSTER_IP, ensure_stage, servers


def spread(t: Tutorial) -> None:
    ensure_stage(t)
    _even_spread(t)
    _sticky(t)
    _timeouts(t)
    _chosen_pod_goes(t)


def _even_spread(t: Tutorial) -> None:
    t.set("CLUSTER_IP", "kubectl get svc service-test -o jsonpath='{.spec.clusterIP}'")
    loop = "for i in $(seq {n}); do curl -s $CLUSTER_IP; done"
    t.run("kubectl get svc service-test", rf"{CLUSTER_IP} +<none> +80/TCP")
    places = {
        "the node": 'seamark shell node1 --data-dir $DATA -- sh -c "' + loop.replace("$(", "\\$(") + '"',
        "a pod": 'kubectl exec $POD -- sh -c "' + loop.replace("$(", "\\$(") + '"',
    }
    for place, command in places.items():
        t.run(command.format(n=3), ANSWER, why=f"three from {place}")
        counts = Counter(servers(t.run(command.format(n=300), ANSWER, why=f"three hundred from {place}")))
        fair = len(counts) == 3 and all(60 <= n <= 140 for n in counts.values())
        t.check(f"each pod got about a third: {dict(counts)}", "" if fair else f"uneven: {dict(counts)}")


def _sticky(t: Tutorial) -> None:
    t.run("kubectl apply -f nginx-service.yml", r"^service/nginx-service created$")
    t.run("kubectl get svc", rf"^nginx-service +LoadBalancer +{CLUSTER_IP} +<pending> +80:3\d{{4}}/TCP ")
    t.run("kubectl describe svc nginx-service", r"^Session Affinity: +ClientIP$")
    t.set("STICKY", "kubectl get svc nginx-service -o jsonpath='{.spec.clusterIP}'")
    t.set("NODE_PORT", "kubectl get svc nginx-service -o jsonpath='{.spec.ports[0].nodePort}'")
    always_one(t, 'kubectl exec $POD -- sh -c "for i in \\$(seq 20); do curl -s $STICKY; done"', "one pod as client")
    t.set("OTHER", "kubectl get pod -l app=my-nginx -o jsonpath='{.items[1].metadata.name}'")
    always_one(t, 'kubectl exec $OTHER -- sh -c "for i in \\$(seq 20); do curl -s $STICKY; done"', "another client")
    for node in ("master1", "node1", "node2"):
        address = t.set("NODE_IP", f"kubectl get node {node} -o jsonpath='{{.status.addresses[0].address}}'")
        always_one(
            t,
            f'seamark shell node1 --data-dir $DATA -- sh -c "for i in \\$(seq 10); do curl -s {address}:$NODE_PORT; done"',
            f"by the NodePort of {node}",
        )


def always_one(t: Tutorial, command: str, what: str, *, but: str = "") -> str:
    """Runs the loop and checks that one server answered, and not ``but``; gives its name."""
    hides = [f"ServerName: {but},"] if but else []
    seen = sorted(set(servers(t.run(command, ANSWER, hides=hides, within=5, why=what))))
    t.check(f"{what}: always {seen[0] if seen else '-'}", "" if len(seen) == 1 else f"several servers: {seen}")
    return seen[0] if seen else ""


def _timeouts(t: Tutorial) -> None:
    seconds = "-o jsonpath='{.spec.sessionAffinityConfig.clientIP.timeoutSeconds}'"
    t.run(f"kubectl get svc nginx-service {seconds}", r"^10800$", why="the default is filled in")
    patch = 'kubectl patch svc nginx-service -p \'{{"spec":{{"sessionAffinityConfig":{{"clientIP":{{"timeoutSeconds":{n}}}}}}}}}\''
    for refused in (0, 86401):
        t.run(
            patch.format(n=refused),
            rf"spec\.sessionAffinityConfig\.clientIP\.timeoutSeconds: Invalid value: {refused}: must be greater than 0 and less than 86400",
            status=1,
        )
    for accepted in (86400, 1):
        t.run(patch.format(n=accepted), r"service/nginx-service patched")
    t.note("With a timeout of one second, a client that rests longer is spread anew: three clients, four times each.")
    output = t.run(
        "for P in $(kubectl get pod -l app=my-nginx -o name); do kubectl exec $P -- sh -c "
        '"for i in 1 2 3 4; do echo from $P; curl -s $STICKY; [ \\$i = 4 ] || sleep 1.2; done" > $WORK/spread-${P#pod/} & done; '
        "wait; cat $WORK/spread-*",
        ANSWER,
    )
    by_client: dict[str, set[str]] = {}
    for client, server in zip(re.findall(r"^from (\S+)", output, re.MULTILINE), servers(output), strict=False):
        by_client.setdefault(client, set()).add(server)
    moved = [client for client, found in by_client.items() if len(found) > 1]
    t.check(
        f"spread anew after the timeout: {len(moved)} of {len(by_client)} clients moved", "" if moved else "none moved"
    )
    t.run(patch.format(n=10800), r"patched")


def _chosen_pod_goes(t: Tutorial) -> None:
    ask = 'seamark shell node2 --data-dir $DATA -- sh -c "for i in \\$(seq 10); do curl -s $STICKY; done"'
    chosen = always_one(t, ask, "before, from node2")
    t.run(f"kubectl delete pod {chosen} --wait=false", r"deleted")
    again = always_one(t, ask, "after the chosen pod was deleted", but=chosen)
    t.check(f"the client moved to {again}", "" if again and again != chosen else f"still {again}")
    t.run("kubectl rollout status deployment my-nginx --timeout=60s", r"successfully rolled out")
    later = always_one(t, ask, "and sticks there")
    t.check("the same server as before the replacement came", "" if later == again else f"{again}, then {later}")
    t.run("kubectl delete -f nginx-service.yml", r"deleted")
