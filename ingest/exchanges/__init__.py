"""The exchanges we can follow: one adapter per file, and the one list to extend."""
