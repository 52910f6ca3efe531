"""What napari calls: reader, writer, sample data, and the translation to layers."""
