"""Networks, their registry and their checkpoints."""
