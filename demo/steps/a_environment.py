"""A. A pod finds Services by the environment variables it was started with."""

from __future__ import annotations

from demo.session import Tutorial
from demo.steps.scene import ANSWER, CLUSTER_IP, IMAGE, pick_pod


def environment(t: Tutorial) -> None:
    _service(t)
    _deployment(t)
    _variables(t)
    _rule_of_the_game(t)


def _service(t: Tutorial) -> None:
    t.run("kubectl apply -f service-test.yml", r"^service/service-test created$")
    t.run("kubectl apply -f service-test.yml", r"^service/service-test unchanged$")
    t.run(
        "kubectl get svc",
        r"^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE$",
        r"^kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP ",
        rf"^service-test +ClusterIP +{CLUSTER_IP} +<none> +80/TCP ",
    )


def _deployment(t: Tutorial) -> None:
    t.run(
        f"kubectl create deployment my-nginx --image={IMAGE} --replicas=3",
        r"^deployment\.apps/my-nginx created$",
    )
    running = r"^my-nginx-[a-z0-9]{6,10}-[a-z0-9]{5} +1/1 +Running +0 "
    t.run(
        "kubectl get pod",
        r"^NAME +READY +STATUS +RESTARTS +AGE$",
        rf"({running}.*\n?){{3}}",
        within=20,
    )
    t.run(
        "kubectl get pod -o wide",
        r"^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$",
        r" 10\.244\.0\.\d+ +master1 ",
        r" 10\.244\.1\.\d+ +node1 ",
        r" 10\.244\.2\.\d+ +node2 ",
    )


def _variables(t: Tutorial) -> None:
    pod = pick_pod(t)
    t.run(
        "kubectl exec $POD -- printenv",
        rf"^HOSTNAME={pod}$",
        r"^PATH=",
        rf"^SERVICE_TEST_SERVICE_HOST={CLUSTER_IP}$",
        r"^SERVICE_TEST_SERVICE_PORT=80$",
        r"^SERVICE_TEST_SERVICE_PORT_HTTP=80$",
        rf"^SERVICE_TEST_PORT=tcp://{CLUSTER_IP}:80$",
        rf"^SERVICE_TEST_PORT_80_TCP=tcp://{CLUSTER_IP}:80$",
        r"^SERVICE_TEST_PORT_80_TCP_PROTO=tcp$",
        r"^SERVICE_TEST_PORT_80_TCP_PORT=80$",
        rf"^SERVICE_TEST_PORT_80_TCP_ADDR={CLUSTER_IP}$",
        r"^KUBERNETES_SERVICE_HOST=10\.96\.0\.1$",
        r"^KUBERNETES_SERVICE_PORT=443$",
        r"^KUBERNETES_SERVICE_PORT_HTTPS=443$",
        r"^KUBERNETES_PORT=tcp://10\.96\.0\.1:443$",
        r"^KUBERNETES_PORT_443_TCP=tcp://10\.96\.0\.1:443$",
        r"^KUBERNETES_PORT_443_TCP_PROTO=tcp$",
        r"^KUBERNETES_PORT_443_TCP_PORT=443$",
        r"^KUBERNETES_PORT_443_TCP_ADDR=10\.96\.0\.1$",
    )
    t.run(
        "kubectl exec $POD -- sh -c 'curl -s ${SERVICE_TEST_SERVICE_HOST}:${SERVICE_TEST_SERVICE_PORT}'",
        ANSWER,
        r"ClientIP: 10\.244\.\d+\.\d+, ServerName: my-nginx-",
        within=5,
    )


def _rule_of_the_game(t: Tutorial) -> None:
    t.note("A running pod keeps the environment it was born with; its replacement sees what exists then.")
    t.run("kubectl create service clusterip later --tcp=8080:80", r"^service/later created$")
    t.run('kubectl create service clusterip no-address --clusterip="None"', r"^service/no-address created$")
    t.run("kubectl create namespace elsewhere", r"^namespace/elsewhere created$")
    t.run("kubectl -n elsewhere create service clusterip faraway --tcp=80", r"^service/faraway created$")
    t.run("kubectl exec $POD -- printenv", hides=[r"^LATER_"], why="not in the environment of the running pod")
    t.run("kubectl delete pod $POD", r'^pod "my-nginx-\S+" deleted')
    t.run("kubectl rollout status deployment my-nginx --timeout=30s", r"successfully rolled out")
    t.set(
        "POD",
        "kubectl get pod -l app=my-nginx --sort-by=.metadata.creationTimestamp "
        "-o jsonpath='{.items[-1:].metadata.name}'",
    )
    t.run(
        "kubectl exec $POD -- printenv",
        r"^LATER_SERVICE_PORT=8080$",
        hides=[r"^NO_ADDRESS_", r"^FARAWAY_"],
        why="in that of its replacement; none of headless Services or other namespaces",
        within=10,
    )
    t.run("kubectl apply -f no-links.yml", r"^pod/no-links created$")
    t.run("kubectl wait --for=condition=Ready pod/no-links --timeout=30s", r"condition met")
    t.run(
        "kubectl exec no-links -- printenv",
        r"^KUBERNETES_SERVICE_HOST=10\.96\.0\.1$",
        hides=[r"^SERVICE_TEST_", r"^LATER_"],
        why="enableServiceLinks: false leaves only KUBERNETES_*",
    )
    t.run("kubectl delete pod no-links --now", r'pod "no-links" (force )?deleted')
    t.run("kubectl delete service later no-address", r'service "later" deleted', r'service "no-address" deleted')
    t.run("kubectl delete namespace elsewhere", r'namespace "elsewhere" deleted')
