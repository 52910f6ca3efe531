"""Running networks: devices, windows, the engine and the worker process."""
