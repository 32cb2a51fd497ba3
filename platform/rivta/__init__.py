"""The Swedish service platform on one machine: router, catalogue, contracts, and the tools around them."""

__version__ = "0.1.0"
