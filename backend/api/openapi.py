"""`GET /v1/openapi.json`: the OpenAPI 3.1 document, from the same table as the routes themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from backend.accounts.rights import RIGHTS, Right
from backend.api import problems
from backend.api.problems import ProblemDetails
from backend.api.route import JSON, Call, Query, Route

PATH: Final = "/v1/openapi.json"


def described_by(table: Sequence[Route[Any]]) -> Route[Any]:
    """The route that tells of the table, itself included; written when it is first asked for, which is seldom."""

    @cache
    def body() -> bytes:
        return json.dumps(document((*table, route))).encode()

    async def handler(_call: Call[Query]) -> web.Response:
        return web.Response(body=await asyncio.to_thread(body), content_type=JSON)

    route = Route(method="GET", path=PATH, handler=handler, access="public", summary="This document", query=Query)
    return route


def document(table: Sequence[Route[Any]]) -> dict[str, Any]:
    """OpenAPI 3.1 of the routes that speak JSON or text; pages are for people."""
    models: dict[type[BaseModel], JsonSchemaMode] = {ProblemDetails: "serialization"}
    for route in table:
        if route.body is not None:
            models[route.body] = "validation"
        if route.reply is not None:
            models[route.reply] = "serialization"
    references, definitions = models_json_schema(list(models.items()), ref_template="#/components/schemas/{model}")
    schemas: dict[type, Any] = {model: reference for (model, _), reference in references.items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ItsMiner", "version": version("itsminer")},
        "paths": paths,
        "components": {
            "schemas": {name: _as_sent(of) for name, of in definitions["$defs"].items()},
            "securitySchemes": {
                "agent": {"type": "http", "scheme": "bearer", "description": "an agent's token, from /v1/enroll"},
                "token": {"type": "http", "scheme": "bearer", "description": "a program's token, from /v1/tokens"},
                "session": {"type": "http", "scheme": "bearer", "description": "a person's, from /v1/login"},
            },
        },
    }


def _as_sent(schema: dict[str, Any]) -> dict[str, Any]:
    """What is nothing is left out of an answer, so nobody can rely on it."""
    required = [
        name
        for name in schema.get("required", [])
        if {"type": "null"} not in schema["properties"][name].get("anyOf", [])
    ]
    return schema | {"required": required} if "required" in schema else schema


def _operation(route: Route[Any], schemas: dict[type, Any]) -> dict[str, Any]:
    succeeds: dict[str, Any] = {"description": "It went well"}
    if route.reply is not None:
        succeeds["content"] = {route.media_type: {"schema": schemas[route.reply]}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": f"For: {RIGHTS[route.access].means}.",
        "security": _security(RIGHTS[route.access]),
        "parameters": _parameters(route),
        "responses": {str(route.status): succeeds} | {str(s): _problem(s, schemas) for s in _statuses(route)},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas[route.body]}}}
    return operation


def _security(right: Right) -> list[dict[str, list[str]]]:
    """Which of the schemes; OpenAPI knows roles for OAuth only, so that they are in words."""
    kinds = ["agent"] if "agent" in right.tokens else ["token"] if right.tokens else []
    if right.members or right.staff:
        kinds.append("session")
    return [{kind: []} for kind in kinds]


def _statuses(route: Route[Any]) -> list[int]:
    """What can go wrong: by its access, by its query, and what the route says itself."""
    of_access = {401, 403} if route.access != "public" else set()
    of_writes = {429} if route.method == "POST" else set()
    return sorted({400, *of_access, *of_writes, *route.problems, 500})


def _problem(status: int, schemas: dict[type, Any]) -> dict[str, Any]:
    return {
        "description": problems.TITLES[status],
        "content": {problems.MEDIA_TYPE: {"schema": schemas[ProblemDetails]}},
    }


def _parameters(route: Route[Any]) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "path" if f"{{{name}}}" in route.path else "query",
            "required": name in required,
            "schema": of,
        }
        for name, of in schema.get("properties", {}).items()
    ]
