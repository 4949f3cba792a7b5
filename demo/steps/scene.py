"""What every section needs on stage: three pods of the tutorial's deployment behind service-test."""

from __future__ import annotations

import re

from demo.session import Tutorial

IMAGE = "192.168.10.33:80/k8s/pod_test:v0.1"
ANSWER = r"kubernetes pod-test v0\.1!! ClientIP: [\d.]+, ServerName: [\w.-]+, ServerIP: [\d.]+!"
SERVER_NAME = re.compile(r"ServerName: ([\w.-]+),")
CLUSTER_IP = r"10\.(9[6-9]|10\d|11[01])\.\d+\.\d+"


def ensure_stage(t: Tutorial, *, replicas: int = 3) -> None:
    """Makes the deployment and the Service where an earlier section did not leave them."""
    t.run("kubectl apply -f service-test.yml", r"service/service-test (created|unchanged|configured)")
    t.run(
        f"kubectl get deployment my-nginx >/dev/null 2>&1 || "
        f"kubectl create deployment my-nginx --image={IMAGE} --replicas={replicas}"
    )
    t.run(f"kubectl scale deployment my-nginx --replicas={replicas}", r"deployment\.apps/my-nginx scaled")
    t.run("kubectl rollout status deployment my-nginx --timeout=60s", r"successfully rolled out")
    pick_pod(t)


def pick_pod(t: Tutorial) -> str:
    """Sets $POD to a running pod of my-nginx."""
    return t.set("POD", "kubectl get pod -l app=my-nginx -o jsonpath='{.items[0].metadata.name}'")


def servers(output: str) -> list[str]:
    """The pods that answered, in order."""
    return SERVER_NAME.findall(output)
