"""A local stand-in for the Text Analytics sentiment container: same start rules, same HTTP API, its own small model."""
