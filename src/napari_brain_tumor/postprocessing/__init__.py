"""Post-processing of network output into labels."""
