"""The entry points that napari calls (reader, writer, sample data), and the conversion to and from layers."""
