"""Service contracts: those that are installed, whether a message fits one, and the WSDLs they are served as."""
