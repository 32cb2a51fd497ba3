"""The national patient overview: a window for care professionals, and what a patient reads about it."""
