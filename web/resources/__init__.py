"""One Falcon resource per file."""
