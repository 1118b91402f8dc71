"""The kernel: no models, no settings of an app, knows nothing of what is built on it."""
