"""The description of the interface at /swagger.json: Swagger 2.0, OpenAPI 3.0 and 3.1.

Paths, names of operations and definitions of GET /, POST /score and GET /swagger.json are those that Azure ML's
inference server gives, so that a client generated for one fits the other.
"""

from __future__ import annotations

from typing import Any

from modules.common.http11 import HttpError
from modules.scorer.catalogue import Servable
from modules.scorer.scoring import ScoringModel
from modules.scorer.specification import Task

__all__ = ["swagger"]

TITLE = "ML service"
VERSION = "1.0"
DESCRIPTION = "API specification for the Azure Machine Learning service ML service"
VERSIONS = {"2": "2.0", "2.0": "2.0", "3": "3.0.3", "3.0": "3.0.3", "3.1": "3.1.0"}
"""Values of the query parameter `version`, as Azure ML's server takes them."""
NUMBER = {"type": "number"}
FAILED = "The service failed to execute due to an error."

Json = dict[str, Any]


def swagger(version: str, models: dict[str, Servable], default: str) -> Json:
    """The document; HttpError 404 for a version that there is not."""
    exact = VERSIONS.get(version)
    if exact is None:
        raise HttpError(404, f"Swagger version [{version}] is not valid. Supported versions: [2.0, 3.0, 3.1].")
    writer = _Swagger2() if exact == "2.0" else _OpenApi3(exact)
    return writer.document(models, default)


class _OpenApi3:
    references = "#/components/schemas/"

    def __init__(self, version: str) -> None:
        self._version = version

    def document(self, models: dict[str, Servable], default: str) -> Json:
        bearer = {"type": "http", "scheme": "bearer"}
        return {
            "openapi": self._version,
            "info": {"title": TITLE, "description": DESCRIPTION, "version": VERSION},
            "paths": _paths(self, models, default),
            "components": {
                "schemas": _schemas(self.references, models, default),
                "securitySchemes": {"Bearer": bearer},
            },
        }

    def operation(self, name: str, text: str, answer: Json, media: str = "application/json") -> Json:
        responses = {"200": self._content("It worked.", media, answer), "default": self._error()}
        return {"operationId": name, "description": text, "responses": responses}

    def with_body(self, operation: Json, reference: str) -> Json:
        schema = {"$ref": self.references + reference}
        content = {"application/json": {"schema": schema}}
        for media in ("image/jpeg", "image/png", "application/octet-stream"):
            content[media] = {"schema": {"type": "string", "format": "binary"}}
        return {**operation, "security": [{"Bearer": []}, {}], "requestBody": {"content": content}}

    def with_version(self, operation: Json) -> Json:
        return {**operation, "parameters": [{**_VERSION_PARAMETER, "schema": {"type": "string"}}]}

    def _error(self) -> Json:
        return self._content(FAILED, "application/json", {"$ref": self.references + "ErrorResponse"})

    def _content(self, text: str, media: str, schema: Json) -> Json:
        return {"description": text, "content": {media: {"schema": schema}}}


class _Swagger2:
    references = "#/definitions/"

    def document(self, models: dict[str, Servable], default: str) -> Json:
        bearer = {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "description": "For example: Bearer abc123",
        }
        return {
            "swagger": "2.0",
            "info": {"title": TITLE, "description": DESCRIPTION, "version": VERSION},
            "schemes": ["http"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {"Bearer": bearer},
            "paths": _paths(self, models, default),
            "definitions": _schemas(self.references, models, default),
        }

    def operation(self, name: str, text: str, answer: Json, media: str = "application/json") -> Json:
        error = {"description": FAILED, "schema": {"$ref": self.references + "ErrorResponse"}}
        responses = {"200": {"description": "It worked.", "schema": answer}, "default": error}
        return {"operationId": name, "description": text, "produces": [media], "responses": responses}

    def with_body(self, operation: Json, reference: str) -> Json:
        schema = {"$ref": self.references + reference}
        payload = {"name": "serviceInputPayload", "in": "body", "description": "The input.", "schema": schema}
        return {**operation, "security": [{"Bearer": []}, {}], "parameters": [payload]}

    def with_version(self, operation: Json) -> Json:
        return {**operation, "parameters": [{**_VERSION_PARAMETER, "type": "string"}]}


_Writer = _OpenApi3 | _Swagger2
_VERSION_PARAMETER = {"name": "version", "in": "query", "required": False, "description": "2, 3 or 3.1"}


def _paths(writer: _Writer, models: dict[str, Servable], default: str) -> Json:
    paths: Json = {
        "/": {"get": writer.operation("ServiceHealthCheck", "Healthy", {"type": "string"}, "text/plain")},
        "/swagger.json": {
            "get": writer.with_version(writer.operation("GetSwaggerSpec", "This document.", {"type": "object"}))
        },
        "/models": {"get": writer.operation("ListModels", "The models in service.", {"type": "object"})},
    }
    if default in models:
        paths["/score"] = {"post": _score(writer, "RunMLService", f"Run the model {default}.", "Service")}
    for name in sorted(models):
        paths[f"/score/{name}"] = {"post": _score(writer, f"Run_{name}", f"Run the model {name}.", f"{name}_")}
    return paths


def _score(writer: _Writer, operation: str, text: str, prefix: str) -> Json:
    answer = {"$ref": f"{writer.references}{prefix}Output"}
    return writer.with_body(writer.operation(operation, text, answer), f"{prefix}Input")


def _schemas(references: str, models: dict[str, Servable], default: str) -> Json:
    error = {"message": {"type": "string"}, "error": {"type": "string"}}
    schemas: Json = {"ErrorResponse": {"type": "object", "properties": error}}
    for name, model in models.items():
        schemas[f"{name}_Input"], schemas[f"{name}_Output"] = _input(model), _output(model)
    if default in models:
        schemas |= {f"Service{part}": {"$ref": f"{references}{default}_{part}"} for part in ("Input", "Output")}
    return schemas


def _input(model: Servable) -> Json:
    if not isinstance(model, ScoringModel):
        return {"type": "object", "description": "What run() of the entry script takes"}
    shape = model.onnx.input_shape
    data: Json = {
        **_nested(len(shape)),
        "description": f"{model.onnx.input.dtype}, shape {list(shape)}; null is any size",
    }
    return {"type": "object", "required": ["data"], "properties": {"data": data}}


def _output(model: Servable) -> Json:
    if not isinstance(model, ScoringModel):
        return {"type": "object", "description": "What run() of the entry script gives"}
    rank = 1 if model.spec.task is Task.EMOTION else len(model.onnx.output_shape)
    properties = {"result": _nested(rank), "time": {**NUMBER, "description": "Seconds that the model took"}}
    return {"type": "object", "required": ["result", "time"], "properties": properties}


def _nested(rank: int) -> Json:
    schema: Json = dict(NUMBER)
    for _ in range(rank):
        schema = {"type": "array", "items": schema}
    return schema
