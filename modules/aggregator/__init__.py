"""The aggregator: windows over event time on messages, several definitions at once, nothing lost and nothing silent."""
