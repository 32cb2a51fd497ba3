"""The addressing catalogue: routing tables from files to what routers read, publications, and the decision engine."""
