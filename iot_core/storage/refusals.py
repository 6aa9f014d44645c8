"""Refusals of the blob service, by the code that its clients tell them apart by.

Source: Azure Storage REST reference, "Common REST API error codes" and "Blob Storage error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from iot_core.errors import EdgeyardError, InputError

__all__ = ["REFUSALS", "StorageRefusal", "refused"]


class Known(NamedTuple):
    """The HTTP status and the usual text of a code."""

    status: int
    text: str


_RESOURCE = "The specified resource does not exist."
_CONDITION = "The condition specified using HTTP conditional header(s) is not met."

REFUSALS: Mapping[str, Known] = MappingProxyType(
    {
        "ConditionNotMet": Known(412, _CONDITION),
        "NotModified": Known(304, _CONDITION),
        "InvalidHeaderValue": Known(400, "The value for one of the HTTP headers is not in the correct format."),
        "InvalidInput": Known(400, "One of the request inputs is not valid."),
        "InvalidMetadata": Known(400, "The metadata specified is invalid. It has characters that are not permitted."),
        "MetadataTooLarge": Known(400, "The metadata specified exceeds the maximum permissible limit (8 KB)."),
        "InvalidQueryParameterValue": Known(400, "Value for one of the query parameters specified is invalid."),
        "OutOfRangeQueryParameterValue": Known(400, "One of the query parameters is outside the permissible range."),
        "InvalidResourceName": Known(400, "The specified resource name contains invalid characters."),
        "InvalidUri": Known(400, "The requested URI does not represent any resource on the server."),
        "InvalidXmlDocument": Known(400, "The XML specified is not syntactically valid."),
        "InvalidBlockId": Known(400, "The specified block ID is invalid. It must be base64, of 64 bytes at most."),
        "InvalidBlobOrBlock": Known(400, "The specified blob or block content is invalid."),
        "InvalidBlockList": Known(400, "The specified block list is invalid."),
        "BlockListTooLong": Known(400, "The block list may not contain more than 50,000 blocks."),
        "BlockCountExceedsLimit": Known(409, "The uncommitted block count may not exceed 100,000."),
        "InvalidMd5": Known(400, "The MD5 value specified in the request is invalid. It must be 128 bits in base64."),
        "Md5Mismatch": Known(
            400, "The MD5 value specified in the request did not match that calculated by the server."
        ),
        "InvalidCrc64": Known(
            400, "The CRC64 value specified in the request is invalid. It must be 64 bits in base64."
        ),
        "Crc64Mismatch": Known(
            400, "The CRC64 value specified in the request did not match that calculated by the server."
        ),
        "MissingRequiredHeader": Known(400, "An HTTP header that is mandatory for this request is not specified."),
        "UnsupportedHeader": Known(400, "One of the HTTP headers specified in the request is not supported."),
        "UnsupportedQueryParameter": Known(400, "One of the query parameters specified in the request is unsupported."),
        "NoAuthenticationInformation": Known(
            401, "Server failed to authenticate the request: it carries no signature."
        ),
        "AuthenticationFailed": Known(
            403,
            "Server failed to authenticate the request. Make sure the value of the Authorization header, or the shared "
            "access signature, is formed correctly.",
        ),
        "AuthorizationFailure": Known(403, "This request is not authorized to perform this operation."),
        "AuthorizationPermissionMismatch": Known(
            403, "This request is not authorized to perform this operation using this permission."
        ),
        "AuthorizationResourceTypeMismatch": Known(
            403, "This request is not authorized to perform this operation using this resource type."
        ),
        "AuthorizationServiceMismatch": Known(
            403, "This request is not authorized to perform this operation using this service."
        ),
        "AuthorizationSourceIPMismatch": Known(
            403, "This request is not authorized to perform this operation using this source IP."
        ),
        "ResourceNotFound": Known(404, _RESOURCE),
        "ContainerNotFound": Known(404, "The specified container does not exist."),
        "BlobNotFound": Known(404, "The specified blob does not exist."),
        "UnsupportedHttpVerb": Known(405, "The resource doesn't support the specified HTTP verb."),
        "OperationTimedOut": Known(408, "The body of the request did not arrive in time."),
        "ContainerAlreadyExists": Known(409, "The specified container already exists."),
        "BlobAlreadyExists": Known(409, "The specified blob already exists."),
        "MissingContentLengthHeader": Known(411, "The Content-Length header was not specified."),
        "LeaseNotPresentWithBlobOperation": Known(412, "There is currently no lease on the blob."),
        "RequestBodyTooLarge": Known(413, "The request body is too large and exceeds the maximum permissible limit."),
        "InvalidRange": Known(416, "The range specified is invalid for the current size of the resource."),
        "InternalError": Known(500, "The server encountered an internal error; its log says why."),
        "ServerBusy": Known(503, "The server is currently unable to receive requests. Please retry your request."),
        "NotImplemented": Known(501, "The requested operation is not implemented on the specified resource."),
    }
)


class StorageRefusal(EdgeyardError):
    """An answer other than success; ``details`` become elements of the error body beside Code and Message."""

    def __init__(self, code: str, message: str, details: Mapping[str, str]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = REFUSALS[code].status
        self.message = message
        self.details = details


def refused(code: str, message: str = "", **details: str) -> StorageRefusal:
    """The refusal ``code``, with its usual text unless another is given; InputError for a code that is not known."""
    if code not in REFUSALS:
        raise InputError(f"{code!r} is not a code of the blob service: use one of iot_core.storage.refusals.REFUSALS")
    return StorageRefusal(code, message or REFUSALS[code].text, details)
