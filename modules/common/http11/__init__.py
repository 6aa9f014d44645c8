"""A small HTTP/1.1 server for the paths where every microsecond and every copy counts.

A body is received straight into the buffer that is handed to the application, and its size is checked before the first
byte of it is read. An application answers at once or later; requests of one connection are answered in order. What a
client may do wrong is refused by status and a text (RFC 9110, RFC 9112); no request is read in two ways.
"""

from __future__ import annotations

from modules.common.http11.connection import Application
from modules.common.http11.head import Head, HttpError
from modules.common.http11.messages import Request, Response
from modules.common.http11.server import HttpServer, http_serving

__all__ = ["Application", "Head", "HttpError", "HttpServer", "Request", "Response", "http_serving"]
