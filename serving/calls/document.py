"""The OpenAPI document: what the calls take and answer, described by the shapes on the wire."""

from typing import Any, Final

from pydantic import BaseModel

from serving.calls import answer_schemas, schemas
from serving.calls.event_calls import MOST_ITEMS
from serving.calls.health_calls import METRICS

Responses = dict[int | str, dict[str, Any]]

PATH_IDS: Final = {
    "customer_id": {"type": "string", "pattern": schemas.CUSTOMER_ID},
    "decision_id": {"type": "string"},
    "metric": {"type": "string", "enum": list(METRICS)},
}
# Read item by item, so that a wrong one fails alone.
EVENTS_SCHEMA: Final = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "maxItems": MOST_ITEMS, "items": {"type": "object"}},
        "sentAt": {"type": "string", "description": "RFC 3339; corrects a wrong clock."},
    },
}
DESCRIBED_BY_HAND: Final = (
    schemas.DecisionRequest,
    schemas.BatchRequest,
    schemas.OutcomeRequest,
    schemas.WhatIfRequest,
    schemas.PauseRequest,
    answer_schemas.Problem,
)


def completed(made: dict[str, Any]) -> dict[str, Any]:
    """The document of the routes with what we read ourselves: bodies, errors, keys."""
    parts = made.setdefault("components", {}).setdefault("schemas", {})
    for model in DESCRIBED_BY_HAND:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        parts.update(schema.pop("$defs", {}))
        parts[model.__name__] = schema
    question = {"$ref": "#/components/schemas/DecisionRequest"}
    parts["BatchRequest"]["properties"]["decisions"]["items"] = question
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "basic": {"type": "http", "scheme": "basic"},
    }
    made["security"] = [{"bearer": []}, {"basic": []}]
    for path in ("/livez", "/readyz"):
        made["paths"][path]["get"]["security"] = []
    return made


def failures(*statuses: int) -> Responses:
    """The documented errors of a call, all of one shape."""
    words = {
        400: "Not JSON",
        401: "No key, or an unknown one",
        404: "Not known here",
        413: "Body too long",
        415: "Not JSON by its headers",
        422: "A field is wrong",
        503: "The store cannot be used just now; send it again",
    }
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": words[status], "content": {"application/problem+json": shape}}
        for status in statuses
    }


def body_schema(model: type[BaseModel]) -> dict[str, object]:
    """Where the document finds the shape of a body that we parse ourselves."""
    shape = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": shape}}}


def answer_of(model: type[BaseModel], words: str) -> Responses:
    """The documented answer of a call."""
    return {200: {"model": model, "description": words}}


def parameters(query: type[BaseModel] | None, *path: str) -> dict[str, object]:
    """Parameters of a call; we read them ourselves, as strictly as a body."""
    asked = {} if query is None else query.model_json_schema()["properties"]
    return {
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": PATH_IDS[n]} for n in path),
            *({"name": name, "in": "query", "schema": asked[name]} for name in asked),
        ]
    }
