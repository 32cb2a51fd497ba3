"""The command rivta, one module per command group."""
