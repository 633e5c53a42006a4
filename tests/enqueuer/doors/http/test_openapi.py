"""The OpenAPI document against the routes, and against real answers."""

from typing import Any

import pytest

from enqueuer.doors.http.openapi import DOCUMENT
from enqueuer.doors.http.request import ROUTES
from tests.enqueuer.doors.http.test_session import MAIL, ask
from tests.helpers.httpdoor import decision, served

TYPES: dict[str, Any] = {"string": str, "array": list, "object": dict, "number": (int, float), "boolean": bool}


def check(schema: dict[str, Any], value: Any) -> None:
    """Assert that a value is what the schema says, and that an object has no other names."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        assert value in schema["enum"]
        return
    assert isinstance(value, TYPES[schema["type"]])
    if schema["type"] == "array":
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        for each in value:
            check(schema["items"], each)
    if properties := schema.get("properties"):
        assert set(schema["required"]) <= set(value) <= set(properties)
        for name, each in value.items():
            check(properties[name], each)


def test_each_route_is_described_and_no_other() -> None:
    assert {path: [*methods] for path, methods in DOCUMENT["paths"].items()} == {
        path.decode(): [route.method.decode().lower()] for path, route in ROUTES.items()
    }


@pytest.mark.parametrize("path", DOCUMENT["paths"])
@pytest.mark.parametrize("state", ["usual", "no token", "overload", "caught", "not ready", "origin", "too large", "compressed"])
def test_real_answers_are_as_described(path: str, state: str) -> None:
    with served() as (door, port):
        ((method, described),) = DOCUMENT["paths"][path].items()
        door.token = b"secret"
        door.full = "full" if state == "overload" else ""
        door.max_size = 3 if state == "too large" else 1000
        door.missing = ["VirusScan"] if state == "not ready" else []
        if state == "caught":
            door.decide = lambda _: decision(action="reject", disposition="rejected", text="Eicar")
        fields = {"Origin": "null"} if state == "origin" else {"Content-Encoding": "gzip"} if state == "compressed" else {}
        if state != "no token":
            fields["Authorization"] = "Bearer secret"
        status, headers, document = ask(int(port), method.upper(), path, MAIL if method == "post" else None, **fields)
        if status == 403 and method == "get":
            return  # web pages are refused everywhere
        (kind, content), *_ = described["responses"][str(status)]["content"].items()
        assert headers["Content-Type"] == kind
        check(content["schema"], document if kind == "application/json" else document.decode())
