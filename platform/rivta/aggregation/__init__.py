"""The aggregating service: asks the engagement index, then every source, and joins the answers."""
