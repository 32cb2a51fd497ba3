"""Service contracts: the folders they come in, checking messages against them, serving their WSDLs."""
