//! Event-sourced aggregates: append, load, load as of an instant, project, replay.
