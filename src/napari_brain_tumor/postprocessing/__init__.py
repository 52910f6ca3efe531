"""What is done to labels after the network."""
