"""`edgeyard demo`: a hub, an edge, a fleet and a job at work on real data, checked and shown in one table."""
