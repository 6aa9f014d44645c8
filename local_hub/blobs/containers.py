"""Operations on containers (Azure Storage REST reference, "Operations on containers", "List Containers")."""

from __future__ import annotations

from iot_core.storage.names import metadata_from
from iot_core.storage.refusals import refused
from local_hub.blobs import xml
from local_hub.blobs.call import Call, Reply
from local_hub.blobs.listing import ListRequest
from local_hub.blobs.replies import XML, changed_headers, container_headers, metadata_headers

__all__ = [
    "create_container",
    "delete_container",
    "get_container",
    "get_container_metadata",
    "list_blobs",
    "list_containers",
    "set_container_metadata",
]


async def create_container(call: Call) -> Reply:
    container = await call.blobs.create_container(call.container, metadata_from(call.header_lines))
    return Reply(status=201, headers=changed_headers(container))


async def get_container(call: Call) -> Reply:
    return Reply(headers=container_headers(call.blobs.container(call.container)))


async def get_container_metadata(call: Call) -> Reply:
    container = call.blobs.container(call.container)
    return Reply(headers={**changed_headers(container), **metadata_headers(container.metadata)})


async def set_container_metadata(call: Call) -> Reply:
    container = await call.blobs.set_container_metadata(call.container, metadata_from(call.header_lines))
    return Reply(headers=changed_headers(container))


async def delete_container(call: Call) -> Reply:
    """202, and it is gone at once."""
    await call.blobs.delete_container(call.container)
    return Reply(status=202)


async def list_blobs(call: Call) -> Reply:
    if "uncommittedblobs" in call.include:
        raise refused("NotImplemented", "listing uncommitted blobs: not built in this local hub.")
    request = ListRequest.read(call.query)
    page = await call.blobs.blobs(call.container, request)
    with_metadata = "metadata" in call.include
    body = xml.blob_page(call.endpoint, call.container, request, page, with_metadata=with_metadata)
    return Reply(headers=XML, body=body)


async def list_containers(call: Call) -> Reply:
    request = ListRequest.read(call.query)
    page = await call.blobs.containers(request)
    body = xml.container_page(call.endpoint, request, page, with_metadata="metadata" in call.include)
    return Reply(headers=XML, body=body)
