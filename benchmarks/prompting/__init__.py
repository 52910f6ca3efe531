"""Sessions of a simulated user, which measure the benefit of prompts, and the networks trained on these sessions."""
