"""The bridge: plans are scored on latency models and on learned, evaluated networks."""
