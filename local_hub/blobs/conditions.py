"""Conditional headers (Azure Storage REST reference, "Specify conditional headers for Blob service operations")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from iot_core.storage.refusals import refused
from local_hub.blobs.rows import Blob

__all__ = ["check_read", "check_write"]


def check_read(headers: Mapping[str, str], blob: Blob) -> None:
    """StorageRefusal ConditionNotMet, or NotModified where the client has the blob as it is."""
    _check_present(headers, blob)
    if _names(headers.get("if-none-match"), blob):
        raise refused("NotModified")
    since = _time(headers, "if-modified-since")
    if since is not None and int(blob.modified) <= since:
        raise refused("NotModified")


def check_write(headers: Mapping[str, str], blob: Blob | None) -> None:
    """For a change of ``blob`` (None: there is none); StorageRefusal ConditionNotMet, BlobAlreadyExists."""
    if blob is None:
        if "if-match" in headers:
            raise refused("ConditionNotMet")
        return
    _check_present(headers, blob)
    if headers.get("if-none-match", "").strip() == "*":
        raise refused("BlobAlreadyExists")
    if _names(headers.get("if-none-match"), blob):
        raise refused("ConditionNotMet")
    since = _time(headers, "if-modified-since")
    if since is not None and int(blob.modified) <= since:
        raise refused("ConditionNotMet")


def _check_present(headers: Mapping[str, str], blob: Blob) -> None:
    if "if-match" in headers and not _names(headers["if-match"], blob):
        raise refused("ConditionNotMet")
    since = _time(headers, "if-unmodified-since")
    if since is not None and int(blob.modified) > since:
        raise refused("ConditionNotMet")


def _names(text: str | None, blob: Blob) -> bool:
    """Whether a list of etags, each with quotes or without, or "*", has the blob's."""
    if text is None:
        return False
    etags = {etag.strip().removeprefix("W/").strip('"') for etag in text.split(",")}
    return "*" in etags or blob.etag in etags


def _time(headers: Mapping[str, str], name: str) -> float | None:
    """Unix seconds; StorageRefusal InvalidHeaderValue."""
    text = headers.get(name)
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        raise refused("InvalidHeaderValue", HeaderName=name, HeaderValue=text[:100]) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
