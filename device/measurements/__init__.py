"""Real measurements that the simulated devices and the replay module play back."""

from __future__ import annotations

from device.measurements.temperatures import CITIES, Reading, temperatures

__all__ = ["CITIES", "Reading", "temperatures"]
