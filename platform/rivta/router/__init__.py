"""The way of a call: transport, pipeline, the record of what happened."""
