"""Client of the sentiment container: finds out which API it has, and asks for verdicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import orjson

from iot_core.errors import EdgeyardError
from modules.sentiment.api import VERSIONS, Answers, ApiVersion, Document, reason_of

__all__ = ["Container", "ContainerError", "ContainerRefusedError", "ContainerUnavailableError"]

READY_PATH = "/ready"
TIMEOUT_S = 20.0  # the real container on one core takes seconds for a full batch
CONNECT_S = 5.0
READY_TIMEOUT_S = 2.0
VERSION_AGE_S = 60.0  # a container that was replaced without a gap is noticed after this at the latest
LONGEST_RETRY_AFTER_S = 300.0  # what a container asks for beyond this is taken for a mistake of its clock

ABSENT = frozenset({404, 405, 501})
"""This path is not there: another API, or another container."""
REFUSED = frozenset({400, 411, 413, 414, 415, 422, 431})
"""This request is not taken, and would not be later. Every other failure may pass: the container is started wrongly
(401, 403), busy (408, 425, 429), or ill (5xx)."""
NO_SUCH_API_VERSION = "apiversion"
"""In the code of a 400, spelt in several ways over the years: the path is there, this api-version is not."""

MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
"""What reading an answer raises when it has not the shape of its version."""


class ContainerError(EdgeyardError):
    """The sentiment container gave no answer to use."""


class ContainerUnavailableError(ContainerError):
    """It cannot be reached, is not ready or is busy: try again, after `retry_after_s` seconds if it said so."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0, is_failure: bool = False) -> None:
        """`is_failure`: it was there and broke on this request (a 5xx other than 503)."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_failure = is_failure


class ContainerRefusedError(ContainerError):
    """It does not take this request, and will not later; `code` is the container's own."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class _AbsentError(ContainerError):
    """The path is not there."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What was found out of the container at an endpoint, and when (monotonic seconds)."""

    endpoint: str
    version: ApiVersion
    since: float


class Container:
    """The container at whichever endpoint each call names; use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._known: _Known | None = None

    async def __aenter__(self) -> Container:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def version(self) -> str | None:
        """The name of the API found last, None before and after an outage."""
        return self._known.version.name if self._known else None

    @property
    def limit(self) -> int | None:
        """Documents of a request that the API found last takes."""
        return self._known.version.limit if self._known else None

    def is_elsewhere(self, endpoint: str) -> bool:
        """True if what is known is of another endpoint."""
        return self._known is not None and self._known.endpoint != endpoint

    async def ask_version(self, endpoint: str) -> ApiVersion:
        """The newest API that the container has. Asked with a request without documents, which costs nothing; asked
        again after an outage, after a change, and every VERSION_AGE_S. Raises ContainerUnavailableError."""
        known = self._known
        if known and known.endpoint == endpoint and time.monotonic() - known.since < VERSION_AGE_S:
            return known.version
        self._known = None
        for version in VERSIONS:
            if await self._has(endpoint, version):
                self._known = _Known(endpoint=endpoint, version=version, since=time.monotonic())
                return version
        raise ContainerUnavailableError(
            f"what answers at {endpoint} has no sentiment API from v2.0 on: check the address"
        )

    async def verdicts(self, endpoint: str, version: ApiVersion, documents: Sequence[Document]) -> Answers:
        """Judge documents (at most version.limit); raises ContainerUnavailableError or
        ContainerRefusedError."""
        try:
            content = await self._post(endpoint, version, documents)
        except ContainerUnavailableError:
            self._known = None
            raise
        except _AbsentError as error:
            self._known = None
            raise ContainerUnavailableError(f"{error}: it is asked again for its API") from None
        try:
            return version.read(orjson.loads(content))
        except MALFORMED:
            self._known = None
            message = f"{endpoint} does not answer like a sentiment container ({version.name})"
            raise ContainerUnavailableError(message) from None

    async def ready(self, endpoint: str) -> bool:
        """True if the container says that it is ready."""
        try:
            timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT_S)
            async with self._open().get(endpoint + READY_PATH, timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def _has(self, endpoint: str, version: ApiVersion) -> bool:
        """A container that has it refuses a request without documents, or answers it in the version's shape."""
        try:
            version.read(orjson.loads(await self._post(endpoint, version, [])))
        except ContainerRefusedError as error:
            return NO_SUCH_API_VERSION not in error.code.lower()
        except (_AbsentError, *MALFORMED):
            return False
        return True

    async def _post(self, endpoint: str, version: ApiVersion, documents: Sequence[Document]) -> bytes:
        """The body of a 200."""
        headers, url = {"Content-Type": "application/json"}, endpoint + version.path
        try:
            async with self._open().post(url, data=version.body(documents), headers=headers) as response:
                content = await response.read()
                if response.status != 200:
                    raise _failure(endpoint, response, content)
                return content
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ContainerUnavailableError(f"no answer from the container at {endpoint}: {reason}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ContainerError("the client is used outside its `async with`")
        return self._session


def _failure(endpoint: str, response: aiohttp.ClientResponse, content: bytes) -> ContainerError:
    code, reason = reason_of(content)
    status = response.status
    if status in ABSENT:
        return _AbsentError(f"the container at {endpoint} has no {response.url.path} ({status})")
    if status in REFUSED:
        return ContainerRefusedError(f"the container at {endpoint} refuses ({status}): {reason}", code=code)
    return ContainerUnavailableError(
        f"the container at {endpoint} answers {status}: {reason}",
        retry_after_s=_retry_after(response.headers.get("Retry-After")),
        is_failure=status >= 500 and status != 503,
    )


def _retry_after(header: str | None) -> float:
    """Seconds: the header holds a number or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return 0.0
    try:
        seconds = float(header) if header.strip().isdecimal() else _until(header)
    except (ValueError, TypeError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
