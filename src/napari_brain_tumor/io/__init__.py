"""Read and write scans and segmentations."""
