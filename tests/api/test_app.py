"""What is refused before a verb is reached."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.app import Api
from seamark.machinery.wire import Request
from seamark.testing.asking import ask, parsed

Obj = dict[str, Any]


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path", "code", "text"),
        [
            ("GET", "/apis/nosuch.io/v1/things", 404, "404 page not found"),
            ("GET", "/nowhere", 404, "404 page not found"),
            ("GET", "/api/v1/nosuch", 404, "could not find the requested resource"),
            ("GET", "/api/v1/namespaces/default/configmaps/a/nosuch", 404, "could not find the requested resource"),
            ("GET", "/api/v1/configmaps/a", 404, "could not find the requested resource"),
            ("GET", "/api/v1/namespaces/default/configmaps/%2e%2e", 400, "may not be '..'"),
            ("GET", "/api/v1/namespaces/default/configmaps/a%2fb", 400, "may not contain '/'"),
            ("GET", "/api/v1/namespaces/default/configmaps//a", 400, "may not be ''"),
            ("POST", "/api/v1/namespaces/default/pods/p/resize", 501, "resize is not supported"),
            ("POST", "/api/v1/configmaps", 405, "does not allow this method"),
            ("HEAD", "/api/v1/namespaces/default/configmaps", 405, "does not allow this method"),
            ("OPTIONS", "/api/v1/namespaces/default/configmaps/a", 405, "does not allow this method"),
            ("DELETE", "/api/v1/namespaces", 405, "does not allow this method"),
        ],
    )
    async def test_by_path_and_method(self, api: Api, method: str, path: str, code: int, text: str) -> None:
        response = await ask(api, method, path)
        assert response.status == code
        assert text in response.body.decode()

    async def test_unsupported_types(self, api: Api) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        assert (await ask(api, "POST", path, {}, content_type="text/html")).status == 415
        assert (await ask(api, "PATCH", f"{path}/a", {}, content_type="application/json")).status == 415
        assert (await ask(api, "GET", path, accept="image/png")).status == 406

    async def test_without_identity(self, api: Api) -> None:
        response = await api.handle(Request("GET", "/api/v1/pods"))
        assert response.status == 403
        assert parsed(response)["message"] == (
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" '
            'in API group "" at the cluster scope'
        )
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            assert (await api.handle(Request("GET", path))).status == 200
        assert (await api.handle(Request("GET", "/api"))).status == 403
