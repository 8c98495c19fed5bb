"""Model files and user code in Ray's pods: fetched, verified, unpacked, cached, imported by name."""
