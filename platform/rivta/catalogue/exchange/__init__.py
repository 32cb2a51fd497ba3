"""Tables in and out: what other catalogues write and read, orders, signed publications, and merging into the draft."""
