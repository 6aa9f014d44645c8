"""Edge module that scores: telemetry with an anomaly model, tensors and photographs with an image classifier."""
