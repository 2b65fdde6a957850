//! Logs, metrics and the correlation of both.
