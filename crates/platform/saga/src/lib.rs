//! Saga orchestration: a pure decision, persisted with its outcome; time-outs; recovery.
