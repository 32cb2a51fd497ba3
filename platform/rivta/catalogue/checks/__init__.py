"""What lint looks for, a module for each subject, and the closed list of its rules."""
