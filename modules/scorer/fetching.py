"""Where a model's bytes come from: a file, or HTTPS with a copy on disk under its hash, so a restart needs no net."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp

from iot_core.errors import EdgeyardError
from modules.scorer.specification import is_loopback

__all__ = ["FetchError", "Fetcher", "read_labels"]

MAX_MODEL = 512 * 1024 * 1024
"""Bytes; ResNet152 has 240 MB, and an edge device must hold the old model and the new one at the same time."""
MAX_LABELS = 1024 * 1024
KEPT_FILES = 16  # in the cache; the ones unused for longest go first
TIMEOUT = aiohttp.ClientTimeout(total=900, sock_connect=15, sock_read=60)
CHUNK = 1024 * 1024
MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


class FetchError(EdgeyardError):
    """A model could not be fetched, or is not the one that was asked for."""


class Fetcher:
    """Fetches models; `cache` is made when it is first needed."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    async def model(self, source: str, sha256: str | None) -> bytes:
        """The bytes at an absolute path or URL, checked against `sha256` if there is one (there is with a URL).

        Raises FetchError, with the source's query left out, since it may hold a signature.
        """
        if "://" not in source:
            content = await asyncio.to_thread(read_file, Path(source), MAX_MODEL)
            return _verified(content, sha256, source)
        if sha256 is None:
            raise FetchError("a URL needs a sha256")
        kept = self._cache / sha256
        found = await asyncio.to_thread(_cached, kept, sha256)
        if found is not None:
            return found
        content = _verified(await _download(source), sha256, _shown(source))
        await asyncio.to_thread(self._keep, kept, content)
        return content

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._cache, prefix=".part-", delete=False) as part:
                part.write(content)
                part.flush()
                os.fsync(part.fileno())
            Path(part.name).replace(path)
            _prune(self._cache)
        except OSError as error:
            raise FetchError(f"the cache {self._cache} cannot be written: {error.strerror} (SCORER_DATA)") from None


def read_file(path: Path, limit: int) -> bytes:
    """A regular file of at most `limit` bytes; FetchError."""
    try:
        with path.open("rb") as file:
            if not path.is_file():
                raise FetchError(f"{path} is no file")
            content = file.read(limit + 1)
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}") from None
    if len(content) > limit:
        raise FetchError(f"{path} has more than {limit} bytes")
    return content


def read_labels(path: Path) -> list[str]:
    """Names, one on each line; FetchError."""
    try:
        return read_file(path, MAX_LABELS).decode().splitlines()
    except UnicodeDecodeError:
        raise FetchError(f"labels {path}: not UTF-8") from None


def _cached(path: Path, sha256: str) -> bytes | None:
    """The file, None when it is not there or damaged."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def _prune(cache: Path) -> None:
    files = sorted((file for file in cache.iterdir() if len(file.name) == 64), key=lambda file: file.stat().st_mtime)
    for file in files[:-KEPT_FILES]:
        file.unlink(missing_ok=True)


def _verified(content: bytes, sha256: str | None, source: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise FetchError(f"{source} has the sha256 {found}, not {sha256}")
    return content


async def _download(url: str) -> bytes:
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT, auto_decompress=False) as session:
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(url, allow_redirects=False) as response:
                    if response.status not in REDIRECTS:
                        return await _body(response, url)
                    url = _next(url, response.headers.get("Location", ""))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise FetchError(f"{_shown(url)} cannot be fetched: {error or type(error).__name__}") from None
    raise FetchError(f"{_shown(url)} cannot be fetched: more than {MAX_REDIRECTS} redirections")


async def _body(response: aiohttp.ClientResponse, url: str) -> bytes:
    if response.status != 200:
        raise FetchError(f"{_shown(url)} answered HTTP {response.status}")
    if (response.content_length or 0) > MAX_MODEL:
        raise FetchError(f"{_shown(url)} has more than {MAX_MODEL} bytes")
    content = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        content += chunk
        if len(content) > MAX_MODEL:
            raise FetchError(f"{_shown(url)} has more than {MAX_MODEL} bytes")
    return bytes(content)


def _next(url: str, location: str) -> str:
    """Where a redirection leads; never from HTTPS to HTTP."""
    target = urljoin(url, location)
    parts = urlsplit(target)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname) and url.startswith("http:")):
        return target
    raise FetchError(f"{_shown(url)} leads to {_shown(target)}, which is not HTTPS")


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
