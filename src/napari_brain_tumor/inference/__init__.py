"""Run networks: devices, windows, the engine, the worker process."""
