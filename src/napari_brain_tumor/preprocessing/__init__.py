"""From intensities to network input and back."""
