"""Preprocessing of scans for networks, and mapping of results back to the scan's grid."""
