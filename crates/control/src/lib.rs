//! What runs beside the request path: starting, resolving, draining and stopping.
