"""Variables, commands and references of a container about to start."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.configdata import ConfigMap, Ref, Secret, select_references
from seamark.agent.downward import ConfigError, PodFacts
from seamark.agent.environment import Environment, expand, plan_environment
from seamark.agent.podspec import Pod
from seamark.linux.runtime import Image
from seamark.model import codec

IMAGE = Image("web:1", "sha256:0", ("/",), entrypoint=("/entry",), command=("serve",), env=(("FROM", "image"),))
FACTS = PodFacts("10.244.1.2", "192.168.100.12", "node1", "web", {"cpu": "2", "memory": "1000Ki"})
CONFIGS = {
    Ref("ConfigMap", "conf"): codec.convert({"data": {"k": "v", "a=b": "x"}}, ConfigMap),
    Ref("Secret", "secret"): codec.convert({"data": {"token": "aGk="}}, Secret),
    Ref("ConfigMap", "gone"): None,
    Ref("ConfigMap", "pictures"): codec.convert({"data": {"title": "x"}, "binaryData": {"icon": "AAEC"}}, ConfigMap),
}
SERVICES = {"WEB_SERVICE_HOST": "10.96.0.7", "OTHER_SERVICE_HOST": "10.96.0.8"}


def plan(container: dict[str, Any], **meta: Any) -> Environment:
    body = {"name": "web", **container}
    metadata = {"name": "web-1", "namespace": "shop", "uid": "u1", **meta}
    spec = {"containers": [body], "serviceAccountName": "robot"}
    pod = codec.convert({"metadata": metadata, "spec": spec}, Pod)
    return plan_environment(pod, pod.spec.containers[0], IMAGE, services=SERVICES, configs=CONFIGS, facts=FACTS)


def env(*variables: dict[str, Any], **meta: Any) -> dict[str, str]:
    return dict(plan({"env": list(variables)}, **meta).variables)


def ref(**source: Any) -> dict[str, Any]:
    return {"name": "A", "valueFrom": source}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$(NOSUCH)", "$(NOSUCH)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $(A", "$A ${A} $(A"),
        ("cost: 5$", "cost: 5$"),
        ("$()", "$()"),
        ("a$$b", "a$b"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


class TestOrder:
    def test_what_the_runtime_gives_comes_first_and_yields(self) -> None:
        found = env({"name": "FROM", "value": "spec"}, {"name": "HOSTNAME", "value": "mine"})
        assert found["FROM"] == "spec" and found["HOSTNAME"] == "mine" and found["PATH"].startswith("/usr/local/sbin")
        assert next(iter(found)) == "PATH"
        assert env()["HOSTNAME"] == "web" and env()["FROM"] == "image"

    def test_services_yield_to_env(self) -> None:
        found = env({"name": "WEB_SERVICE_HOST", "value": "own"})
        assert found["WEB_SERVICE_HOST"] == "own" and found["OTHER_SERVICE_HOST"] == "10.96.0.8"

    def test_values_see_what_came_before_and_services(self) -> None:
        found = env(
            {"name": "EARLY", "value": "$(LATE)"},
            {"name": "LATE", "value": "x"},
            {"name": "URL", "value": "http://$(WEB_SERVICE_HOST)/$(LATE)"},
        )
        assert found["EARLY"] == "$(LATE)" and found["URL"] == "http://10.96.0.7/x"

    def test_env_from_yields_to_env(self) -> None:
        body = {"envFrom": [{"configMapRef": {"name": "conf"}}], "env": [{"name": "k", "value": "own"}]}
        found = plan(body)
        assert dict(found.variables)["k"] == "own"
        assert found.skipped == ("ConfigMap shop/conf key 'a=b'",)

    def test_binary_data_is_for_files_alone(self) -> None:
        found = dict(plan({"envFrom": [{"configMapRef": {"name": "pictures"}}]}).variables)
        assert (found["title"], "icon" in found) == ("x", False)
        with pytest.raises(ConfigError, match="couldn't find key icon in ConfigMap shop/pictures"):
            env(ref(configMapKeyRef={"name": "pictures", "key": "icon"}))

    def test_prefix(self) -> None:
        body = {"envFrom": [{"secretRef": {"name": "secret"}, "prefix": "S_"}]}
        assert dict(plan(body).variables)["S_token"] == "hi"


class TestReferences:
    def test_keys(self) -> None:
        assert env(ref(configMapKeyRef={"name": "conf", "key": "k"}))["A"] == "v"
        assert env(ref(secretKeyRef={"name": "secret", "key": "token"}))["A"] == "hi"

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ({"configMapKeyRef": {"name": "gone", "key": "k"}}, 'configmap "gone" not found'),
            ({"configMapKeyRef": {"name": "conf", "key": "x"}}, "couldn't find key x in ConfigMap shop/conf"),
            ({"secretKeyRef": {"name": "nosuch", "key": "x"}}, 'secret "nosuch" not found'),
            ({"secretKeyRef": {"name": "secret", "key": "x"}}, "couldn't find key x in Secret shop/secret"),
            ({"fieldRef": {"fieldPath": "spec.nosuch"}}, "unsupported fieldPath: spec.nosuch"),
            ({"resourceFieldRef": {"resource": "limits.gpu"}}, "unsupported container resource : limits.gpu"),
        ],
    )
    def test_errors_in_kubelets_words(self, source: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as error:
            env(ref(**source))
        assert str(error.value) == message

    def test_optional_ones_set_nothing(self) -> None:
        assert "A" not in env(ref(configMapKeyRef={"name": "gone", "key": "k", "optional": True}))
        assert "A" not in env(ref(secretKeyRef={"name": "secret", "key": "x", "optional": True}))
        assert plan({"envFrom": [{"configMapRef": {"name": "gone", "optional": True}}]})

    def test_env_from_of_a_missing_one(self) -> None:
        with pytest.raises(ConfigError, match='configmap "gone" not found'):
            plan({"envFrom": [{"configMapRef": {"name": "gone"}}]})

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("metadata.name", "web-1"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u1"),
            ("metadata.labels['app']", "web"),
            ("metadata.annotations['x/y']", "z"),
            ("metadata.labels['nosuch']", ""),
            ("spec.nodeName", "node1"),
            ("spec.serviceAccountName", "robot"),
            ("status.hostIP", "192.168.100.12"),
            ("status.podIP", "10.244.1.2"),
        ],
    )
    def test_fields(self, path: str, expected: str) -> None:
        found = env(ref(fieldRef={"fieldPath": path}), labels={"app": "web"}, annotations={"x/y": "z"})
        assert found["A"] == expected

    @pytest.mark.parametrize(
        ("resource", "divisor", "expected"),
        [
            ("limits.cpu", "0", "1"),
            ("limits.cpu", "1m", "500"),
            ("limits.memory", "1Ki", "2048"),
            ("requests.cpu", "1m", "250"),
            ("requests.memory", "0", "0"),
        ],
    )
    def test_resources(self, resource: str, divisor: str, expected: str) -> None:
        resources = {"limits": {"cpu": "500m", "memory": "2Mi"}, "requests": {"cpu": 0.25}}
        variable = ref(resourceFieldRef={"resource": resource, "divisor": divisor})
        assert dict(plan({"env": [variable], "resources": resources}).variables)["A"] == expected

    def test_an_absent_limit_is_what_the_node_has(self) -> None:
        assert env(ref(resourceFieldRef={"resource": "limits.cpu"}))["A"] == "2"

    def test_every_reference_is_selected(self) -> None:
        spec = {
            "containers": [
                {
                    "name": "a",
                    "env": [ref(configMapKeyRef={"name": "c1"}), ref(secretKeyRef={"name": "s1"})],
                    "envFrom": [{"configMapRef": {"name": "c2"}}, {"secretRef": {"name": "s2"}}],
                }
            ],
            "initContainers": [{"name": "b", "env": [ref(configMapKeyRef={"name": "c3"})]}],
            "volumes": [
                {"name": "v1", "configMap": {"name": "c4"}},
                {"name": "v2", "secret": {"secretName": "s3"}},
                {"name": "v3", "projected": {"sources": [{"configMap": {"name": "c5"}}, {"secret": {"name": "s4"}}]}},
            ],
        }
        found = select_references(codec.convert({"spec": spec}, Pod))
        assert {r.name for r in found if r.kind == "ConfigMap"} == {"c1", "c2", "c3", "c4", "c5"}
        assert {r.name for r in found if r.kind == "Secret"} == {"s1", "s2", "s3", "s4"}


class TestCommand:
    @pytest.mark.parametrize(
        ("body", "argv"),
        [
            ({}, ("/entry", "serve")),
            ({"args": ["x"]}, ("/entry", "x")),
            ({"command": ["y"]}, ("y",)),
            ({"command": ["y"], "args": ["$(WEB_SERVICE_HOST)", "$$(A)"]}, ("y", "10.96.0.7", "$(A)")),
        ],
    )
    def test_argv(self, body: dict[str, Any], argv: tuple[str, ...]) -> None:
        assert plan(body).argv == argv

    def test_working_directory(self) -> None:
        assert plan({}).working_dir == "/" and plan({"workingDir": "/srv"}).working_dir == "/srv"

    def test_nothing_to_run(self) -> None:
        pod = codec.convert({"spec": {"containers": [{"name": "web"}]}}, Pod)
        bare = Image("bare", "", ("/",))
        with pytest.raises(ConfigError, match="no command specified"):
            plan_environment(pod, pod.spec.containers[0], bare, services={}, configs={}, facts=FACTS)
