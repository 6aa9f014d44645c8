"""What no real hub has: faults, throttles on request, snapshots, seeds, the traffic log."""
