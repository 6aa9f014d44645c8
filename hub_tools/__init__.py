"""Operators' tools for any IoT Hub, Azure's or the local one: registry, queries, manifests, twin jobs.

Everything stands on the one seam `hub_tools.service.HubService` and knows a hub by its connection string only.
"""
