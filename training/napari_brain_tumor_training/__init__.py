"""Train the networks of napari-brain-tumor on curated cases."""
