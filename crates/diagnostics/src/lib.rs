//! Spans, codes and diagnostics of a configuration, and their rendering as text and JSON.
