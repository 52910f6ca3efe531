"""The plugin's dock widget: the current case above, five tabs, and saving below."""
