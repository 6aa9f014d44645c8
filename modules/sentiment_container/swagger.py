"""Descriptions of the API for machines: one OpenAPI 2.0 document per version, made from one table."""

from __future__ import annotations

from typing import Any

from modules.common.text_units import UNITS
from modules.sentiment_container.options import MODEL_VERSION
from modules.sentiment_container.versions import API_VERSIONS, Version

__all__ = ["example_request", "swagger"]

Json = dict[str, Any]
TEXT = "Works like a charm, I love it!"


def swagger(version: Version) -> Json:
    """The document at /swagger/<version>/swagger.json."""
    return {
        "swagger": "2.0",
        "info": {
            "title": "Sentiment stand-in",
            "version": version.name,
            "description": "A local stand-in for the sentiment container, with a model of its own.",
        },
        "basePath": "/",
        "schemes": ["http"],
        "consumes": ["application/json", "application/json-patch+json", "text/json"],
        "produces": ["application/json"],
        "paths": {version.path: {"post": _operation(version)}, **_health_paths()},
        "definitions": _definitions(version),
    }


def example_request(version: Version) -> Json:
    """A request to try the version with."""
    documents = [{"id": "1", "language": "en", "text": TEXT}]
    if version.name == "language":
        return {"kind": "SentimentAnalysis", "parameters": {}, "analysisInput": {"documents": documents}}
    return {"documents": documents}


def _operation(version: Version) -> Json:
    body = {
        "name": "request",
        "in": "body",
        "required": True,
        "schema": {"$ref": "#/definitions/Request", "example": example_request(version)},
    }
    return {
        "summary": f"The sentiment of up to {version.limit} documents",
        "operationId": "Sentiment",
        "parameters": [*_query(version), body],
        "responses": {
            "200": {"description": "One result or error per document", "schema": {"$ref": "#/definitions/Response"}},
            "400": {"description": "The request as a whole is refused", "schema": {"$ref": "#/definitions/Error"}},
            "413": {"description": "More than 1 MB", "schema": {"$ref": "#/definitions/Error"}},
        },
    }


def _query(version: Version) -> list[Json]:
    def parameter(name: str, kind: str = "boolean", **more: Any) -> Json:
        return {"name": name, "in": "query", "required": False, "type": kind, **more}

    stats, model = parameter("showStats"), parameter("model-version", "string", enum=["latest", MODEL_VERSION])
    extended = [parameter("stringIndexType", "string", enum=list(UNITS)), parameter("loggingOptOut")]
    return {
        "v2.0": [],
        "v2.1": [stats],
        "v3.0": [model, stats],
        "v3.1": [model, stats, *extended],
        "language": [parameter("api-version", "string", enum=list(API_VERSIONS)) | {"required": True}, stats],
    }[version.name]


def _health_paths() -> Json:
    texts = {"/ready": "200 when the model answers", "/status": "200 when the key given at the start is taken"}
    return {
        path: {"get": {"summary": text, "responses": {"200": {"description": "Yes"}}}} for path, text in texts.items()
    }


def _definitions(version: Version) -> Json:
    document = _object(id=_TEXT, text=_TEXT, language=_TEXT, required=["id", "text"])
    batch = _object(documents=_list(document), required=["documents"])
    if version.name.startswith("v2"):
        answer = _object(
            documents=_list(_object(id=_TEXT, score=_NUMBER)), errors=_list(_object(id=_TEXT, message=_TEXT))
        )
        return {"Request": batch, "Response": answer, "Error": _object(code=_TEXT, message=_TEXT, innerError=_ERROR)}
    answer = _answer_v3()
    definitions = {"Request": batch, "Response": answer, "Error": _object(error=_ERROR_V3)}
    if version.name == "language":
        kind = {"type": "string", "enum": ["SentimentAnalysis"]}
        task = _object(
            kind=kind, parameters={"type": "object"}, analysisInput=batch, required=["kind", "analysisInput"]
        )
        definitions |= {"Request": task, "Response": _object(kind=_TEXT, results=answer)}
    return definitions


def _answer_v3() -> Json:
    scores = _object(positive=_NUMBER, neutral=_NUMBER, negative=_NUMBER)
    sentence = _object(
        sentiment=_label("positive", "neutral", "negative"),
        confidenceScores=scores,
        offset=_INTEGER,
        length=_INTEGER,
        text=_TEXT,
    )
    document = _object(
        id=_TEXT,
        sentiment=_label("positive", "neutral", "negative", "mixed"),
        confidenceScores=scores,
        sentences=_list(sentence),
        warnings=_list({"type": "object"}),
    )
    errors = _list(_object(id=_TEXT, error=_ERROR_V3))
    return _object(documents=_list(document), errors=errors, modelVersion=_TEXT)


def _object(required: list[str] | None = None, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _label(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number", "format": "double"}
_INTEGER: Json = {"type": "integer", "format": "int32"}
_ERROR = _object(code=_TEXT, message=_TEXT)
_ERROR_V3 = _object(code=_TEXT, message=_TEXT, innererror=_ERROR)
