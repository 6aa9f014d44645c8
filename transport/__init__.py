"""Shared I/O: TLS and certificates, the MQTT server side and client, the durable store."""

from __future__ import annotations
