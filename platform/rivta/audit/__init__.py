"""What happened: spools, the call log, ECS lines, metrics."""
