//! The request path: workers, connections, serve, forward, pools.
