"""Brain extraction: which voxels of a whole head are brain."""
