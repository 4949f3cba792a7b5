"""Which ConfigMaps and Secrets a pod refers to, and what is taken of them."""

from __future__ import annotations

from seamark.agent.configdata import Ref, Secret, select_logins, select_references
from seamark.agent.podspec import Pod
from seamark.model import codec


def test_image_pull_secrets() -> None:
    names = ("new", "old", "gone", "other")
    spec = {"containers": [{"name": "c", "image": "x"}], "imagePullSecrets": [{"name": name} for name in names]}
    pod = codec.convert({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}, Pod)
    assert select_references(pod) == {Ref("Secret", name) for name in names}
    configs = {
        Ref("Secret", "new"): Secret(data={".dockerconfigjson": b"new"}),
        Ref("Secret", "old"): Secret(data={".dockercfg": b"old"}),
        Ref("Secret", "gone"): None,
        Ref("Secret", "other"): Secret(data={"key": b"value"}),
    }
    assert select_logins(pod, configs) == (b"new", b"old")
