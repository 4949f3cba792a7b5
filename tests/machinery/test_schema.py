from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seamark.machinery import schema

ROOT = Path(__file__).parent.parent.parent


def test_a_kind_is_found_by_api_version_and_kind() -> None:
    service = schema.message("v1", "Service")
    assert service is not None
    assert (service.name, service.api_version) == ("core.v1.Service", "v1")
    assert list(service.fields) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert schema.message("v1", "Deployment") is None
    assert schema.message("example.com/v1", "DeleteOptions") is None


def test_options_belong_to_every_group() -> None:
    found = schema.message("apps/v1", "DeleteOptions")
    assert found is not None and found.name == "meta.v1.DeleteOptions"


def test_a_list_knows_how_it_merges() -> None:
    ports = schema.named("core.v1.ServiceSpec").fields["ports"]
    assert (ports.shape, ports.type, ports.number) == ("list", "core.v1.ServicePort", 1)
    assert (ports.patch_strategies, ports.patch_merge_key) == (("merge",), "port")
    assert (ports.list_type, ports.list_map_keys) == ("map", ("port", "protocol"))
    volumes = schema.named("core.v1.PodSpec").fields["volumes"]
    assert volumes.patch_strategies == ("merge", "retainKeys")


def test_inlined_fields_stand_in_the_outer_object() -> None:
    volume = schema.named("core.v1.Volume")
    assert {"name", "emptyDir", "configMap"} <= set(volume.fields)
    assert [field.name for field in volume.own if field.inline] == [""]


def test_pointers_required_enums_and_defaults() -> None:
    replicas = schema.named("apps.v1.DeploymentSpec").fields["replicas"]
    assert replicas.pointer and not replicas.required
    assert schema.named("core.v1.Container").fields["name"].required
    protocol = schema.named("core.v1.ServicePort").fields["protocol"]
    assert (protocol.default, protocol.enum) == ("TCP", ("SCTP", "TCP", "UDP"))


def test_every_type_is_known_and_numbers_are_distinct() -> None:
    for message in schema.load().messages.values():
        numbers = [field.number for field in message.own]
        assert len(numbers) == len(set(numbers)), message.name
        for field in message.own:
            assert not field.is_message or schema.named(field.type), (message.name, field.name)


@pytest.mark.skipif(shutil.which("go") is None, reason="needs the go command to look at the published modules")
def test_the_table_is_what_the_published_modules_give() -> None:
    try:
        command = [sys.executable, str(ROOT / "tools" / "schema"), "--check"]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=45)
    except subprocess.TimeoutExpired:
        pytest.skip("the modules cannot be downloaded here in time")
    if "CalledProcessError" in result.stderr:
        pytest.skip("the modules cannot be downloaded here")
    assert result.returncode == 0, result.stdout + result.stderr
