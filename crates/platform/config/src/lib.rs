//! One typed, validated configuration: file, environment, flags.
