"""Sessions of a simulated user, which measure what prompts are worth, and the networks that are fitted to them."""
