"""The plugin's panels and other Qt widgets."""
