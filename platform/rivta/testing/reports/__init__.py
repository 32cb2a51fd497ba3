"""A run as others read it: JUnit XML, JSON, and one HTML file."""
