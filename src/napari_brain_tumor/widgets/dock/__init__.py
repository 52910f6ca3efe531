"""The one dock of the plugin: a head for the case, five tabs, a foot for saving."""
