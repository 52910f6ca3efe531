"""Methods without weights."""
