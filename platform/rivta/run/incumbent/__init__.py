"""Taking over an installation of the incumbent router (VP): its configuration becomes a settings file of ours."""
