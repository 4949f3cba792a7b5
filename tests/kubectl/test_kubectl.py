"""What a person does with kubectl, and what is printed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from seamark.machinery.gvr import CONFIGMAPS
from seamark.testing.scriptednode import ScriptedNode

pytestmark = pytest.mark.kubectl

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: service-test}
spec:
  selector: {app: my-nginx}
  ports: [{name: http, port: PORT, targetPort: 80, protocol: TCP}]
"""


def service(port: int = 80) -> str:
    return SERVICE.replace("PORT", str(port))


async def test_version_and_words(kubectl: Any) -> None:
    assert "Server Version: v1.36.3+seamark" in (await kubectl("version")).out
    resources = (await kubectl("api-resources")).out
    for word in ("deployments", "deploy", "endpointslices", "leases"):
        assert f"{word} " in resources
    assert "apps/v1\n" in (await kubectl("api-versions")).out
    assert "the server doesn't have a resource type" in (await kubectl("get", "nosuchkind", fails=True)).err


async def test_apply_creates_configures_and_leaves_alone(kubectl: Any) -> None:
    for port, said in ((80, "created"), (80, "unchanged"), (81, "configured"), (81, "unchanged")):
        out = (await kubectl("apply", "-f", "-", stdin=service(port))).out
        assert out == f"service/service-test {said}\n"
    lines = (await kubectl("get", "svc")).out.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert lines[1].split()[:2] == ["service-test", "ClusterIP"] and "81/TCP" in lines[1]


async def test_a_broken_manifest_names_the_field(kubectl: Any) -> None:
    typo = await kubectl("apply", "-f", "-", stdin=service().replace("selector", "selctor"), fails=True)
    assert 'unknown field "spec.selctor"' in typo.err
    wrong = await kubectl("apply", "-f", "-", stdin=service(99999), fails=True)
    assert "spec.ports[0].port: Invalid value: 99999" in wrong.err
    assert "No resources found" in (await kubectl("get", "svc")).err


async def test_create_by_command(kubectl: Any) -> None:
    """kubectl 1.32 and newer send these as protobuf, without a fallback."""
    await kubectl("create", "deployment", "web", "--image=x", "--replicas=3", "--port=80")
    await kubectl("create", "service", "clusterip", "headless", "--clusterip=None")
    await kubectl("create", "configmap", "cm", "--from-literal=a=b")
    await kubectl("create", "secret", "generic", "s", "--from-literal=a=b")
    await kubectl("create", "namespace", "other")
    await kubectl("create", "serviceaccount", "sa")
    await kubectl("expose", "deployment", "web", "--port=80")
    found = json.loads((await kubectl("get", "deploy,svc,cm,secret,sa", "-o", "json")).out)["items"]
    names = {(o["kind"], o["metadata"]["name"]) for o in found}
    assert {("Deployment", "web"), ("Service", "web"), ("Secret", "s"), ("ServiceAccount", "sa")} <= names
    (secret,) = [o for o in found if o["kind"] == "Secret"]
    assert secret["data"] == {"a": "Yg=="}
    again = await kubectl("create", "namespace", "other", fails=True)
    assert 'namespaces "other" already exists' in again.err


async def test_get_in_every_form(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=service())
    assert (await kubectl("get", "svc", "service-test", "-o", "name")).out == "service/service-test\n"
    assert "SELECTOR" in (await kubectl("get", "svc", "-o", "wide")).out
    assert "namespace: default" in (await kubectl("get", "svc", "-o", "yaml")).out
    port = (await kubectl("get", "svc", "service-test", "-o", "jsonpath={.spec.ports[0].port}")).out
    assert port == "80"
    assert "service-test" in (await kubectl("get", "svc", "-A", "--sort-by=.metadata.name")).out
    assert "service-test" in (await kubectl("get", "svc", "--field-selector=spec.clusterIP!=None")).out
    assert "service/service-test" in (await kubectl("get", "all")).out
    assert 'services "nosuch" not found' in (await kubectl("get", "svc", "nosuch", fails=True)).err


async def test_many_objects_come_in_pages(kubectl: Any) -> None:
    for i in range(30):
        await kubectl.client.create(CONFIGMAPS, {"metadata": {"name": f"c{i:02}", "namespace": "default"}})
    out = (await kubectl("get", "cm", "--chunk-size=7", "--no-headers")).out
    assert [line.split()[0] for line in out.splitlines()] == [f"c{i:02}" for i in range(30)]


async def test_describe(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=service())
    described = (await kubectl("describe", "svc", "service-test")).out
    for line in ("IP Family Policy:", "SingleStack", "Selector:", "app=my-nginx", "Session Affinity:", "http  80/TCP"):
        assert line in described
    await kubectl("create", "deployment", "web", "--image=x")
    assert "Pod Template:" in (await kubectl("describe", "deployment", "web")).out


async def test_change_in_place(kubectl: Any, tmp_path: Path) -> None:
    await kubectl("create", "deployment", "web", "--image=x")
    await kubectl("apply", "-f", "-", stdin=service())
    assert "scaled" in (await kubectl("scale", "deploy/web", "--replicas=4")).out
    await kubectl("scale", "deploy/web", "--current-replicas=4", "--replicas=2")
    await kubectl("label", "svc", "service-test", "tier=front")
    await kubectl("annotate", "svc", "service-test", "note=x")
    await kubectl("set", "image", "deploy/web", "x=y:2")
    await kubectl("patch", "svc", "service-test", "-p", '{"spec":{"ports":[{"port":80,"name":"web"}]}}')
    await kubectl("patch", "svc", "service-test", "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels"}]')
    await kubectl("patch", "svc", "service-test", "--type=merge", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    web = json.loads((await kubectl("get", "deploy", "web", "-o", "json")).out)
    assert web["spec"]["replicas"] == 2
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "y:2"
    changed = json.loads((await kubectl("get", "svc", "service-test", "-o", "json")).out)
    assert [p["name"] for p in changed["spec"]["ports"]] == ["web"]
    assert "labels" not in changed["metadata"] and changed["metadata"]["annotations"]["note"] == "x"
    assert changed["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


async def test_edit_and_replace(kubectl: Any, tmp_path: Path) -> None:
    await kubectl("create", "configmap", "cm", "--from-literal=a=b")
    edited = await kubectl("edit", "configmap", "cm", KUBE_EDITOR="sed -i s/a:.b/a:\\ c/")
    assert edited.out == "configmap/cm edited\n"
    unchanged = await kubectl("edit", "configmap", "cm", KUBE_EDITOR="true")
    assert "no changes made" in unchanged.err
    manifest = (await kubectl("get", "cm", "cm", "-o", "json")).out.replace('"c"', '"d"')
    assert "replaced" in (await kubectl("replace", "-f", "-", stdin=manifest)).out
    stale = await kubectl("replace", "-f", "-", stdin=manifest.replace('"d"', '"e"'), fails=True)
    assert "the object has been modified" in stale.err
    assert (await kubectl("get", "cm", "cm", "-o", "jsonpath={.data.a}")).out == "d"


async def test_dry_run_and_diff(kubectl: Any) -> None:
    out = (await kubectl("apply", "-f", "-", "--dry-run=server", stdin=service())).out
    assert out == "service/service-test created (server dry run)\n"
    assert "No resources found" in (await kubectl("get", "svc")).err
    await kubectl("apply", "-f", "-", stdin=service())
    diff = await kubectl("diff", "-f", "-", stdin=service(81), fails=True)
    assert diff.code == 1 and "port: 81" in diff.out


async def test_delete(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=service())
    await kubectl("run", "p", "--image=x")
    assert 'service "service-test" deleted' in (await kubectl("delete", "svc", "service-test")).out
    assert 'pod "p" deleted' in (await kubectl("delete", "pod", "p")).out
    await kubectl("delete", "pod", "p", "--ignore-not-found")
    missing = await kubectl("delete", "pod", "p", fails=True)
    assert 'pods "p" not found' in missing.err
    await kubectl("create", "configmap", "a")
    await kubectl("create", "configmap", "b")
    assert (await kubectl("delete", "cm", "--all")).out.count("deleted") == 2


async def test_explain(kubectl: Any) -> None:
    out = (await kubectl("explain", "svc.spec.sessionAffinity")).out
    assert "KIND:       Service" in out and "FIELD: sessionAffinity <string>" in out
    assert "maxSurge" in (await kubectl("explain", "deployment.spec.strategy.rollingUpdate")).out
    assert "does not exist" in (await kubectl("explain", "svc.spec.nosuch", fails=True)).err


async def test_who_may_what(kubectl: Any) -> None:
    assert (await kubectl("auth", "can-i", "create", "pods")).out == "yes\n"
    assert "admin" in (await kubectl("auth", "whoami")).out
    assert "token-user" in (await kubectl("--context=token", "auth", "whoami")).out
    token = (await kubectl("create", "token", "default", "--duration=20m")).out.strip()
    assert token.count(".") == 2
    whoami = (await kubectl("--context=nobody", f"--token={token}", "auth", "whoami")).out
    assert "system:serviceaccount:default:default" in whoami
    wrong = await kubectl("--context=wrong", "get", "pods", fails=True)
    assert "Unauthorized" in wrong.err


async def test_get_watch(kubectl: Any) -> None:
    await kubectl("create", "configmap", "a")
    process = await kubectl.start("get", "cm", "-w", "--no-headers")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert (await process.stdout.readline()).split()[0] == b"a"
            await kubectl("create", "configmap", "b", "--from-literal=x=y")
            line = (await process.stdout.readline()).split()
            assert line[:2] == [b"b", b"1"]
            await kubectl("patch", "cm", "a", "-p", '{"data":{"k":"v"}}')
            assert (await process.stdout.readline()).split()[:2] == [b"a", b"1"]
    finally:
        process.kill()
        await process.communicate()


POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {nodeName: node1, containers: [{name: c, image: x}]}
"""


async def test_logs_and_exec(kubectl: Any) -> None:
    node = kubectl.nodes["node1"] = ScriptedNode()
    await kubectl("apply", "-f", "-", stdin=POD)
    assert (await kubectl("logs", "p", "--tail=3")).out == "one\n"
    assert node.logged[-1].tail_lines == 3
    node.more.set()
    assert (await kubectl("logs", "-f", "p")).out == "one\ntwo\n"
    assert "previous terminated container" in (await kubectl("logs", "-p", "p", fails=True)).err
    assert (await kubectl("exec", "-i", "p", "--", "cat", stdin="hello")).out == "hello"
    failed = await kubectl("exec", "p", "--", "exit", "7", fails=True)
    assert failed.code == 7 and "command terminated with exit code 7" in failed.err
    assert len((await kubectl("exec", "p", "--", "big")).out) == 1_000_000
    refused = await kubectl("exec", "p", "--", "refuse", fails=True)
    assert "container c is not running" in refused.err
    wrong = await kubectl("exec", "p", "-c", "x", "--", "cat", fails=True)
    assert "container x" in wrong.err or "container not found" in wrong.err


async def test_nodes(kubectl: Any) -> None:
    node = '{"apiVersion":"v1","kind":"Node","metadata":{"name":"node1"}}'
    await kubectl("create", "-f", "-", stdin=node)
    await kubectl("apply", "-f", "-", stdin=POD)
    assert "cordoned" in (await kubectl("cordon", "node1")).out
    assert "SchedulingDisabled" in (await kubectl("get", "nodes")).out
    await kubectl("taint", "node", "node1", "a=b:NoSchedule")
    assert "a=b:NoSchedule" in (await kubectl("describe", "node", "node1")).out
    await kubectl("uncordon", "node1")
    drained = await kubectl("drain", "node1", "--force", "--grace-period=0", "--timeout=10s")
    assert "node/node1 drained" in drained.out
    assert "No resources found" in (await kubectl("get", "pods")).err


async def test_wait(kubectl: Any) -> None:
    await kubectl("create", "configmap", "a")
    process = await kubectl.start("wait", "--for=delete", "cm/a", "--timeout=20s")
    await kubectl("delete", "cm", "a")
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)


async def test_namespaces_and_contexts(kubectl: Any) -> None:
    missing = await kubectl("-n", "nowhere", "create", "configmap", "a", fails=True)
    assert 'namespaces "nowhere" not found' in missing.err
    kept = await kubectl("delete", "ns", "default", fails=True)
    assert "may not be deleted" in kept.err
