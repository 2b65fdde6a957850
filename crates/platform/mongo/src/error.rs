use std::time::Duration;

use mongodb::error::{Error, ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, WriteFailure};

/// The code of a write that breaks a unique index, on every release.
const DUPLICATE: i32 = 11000;
/// The server cannot do it at this moment: it is starting, ending, electing, without its majority, or too slow. From
/// MongoDB's `error_codes.yml`: HostUnreachable, HostNotFound, NetworkTimeout, MaxTimeMSExpired, WriteConcernTimeout,
/// ShutdownInProgress, UnsatisfiableWriteConcern, PrimarySteppedDown, ExceededTimeLimit, SocketException,
/// NotWritablePrimary, InterruptedAtShutdown, Interrupted (and by the change of a replica set's state),
/// NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
const AWAY: [i32; 16] = [6, 7, 50, 64, 89, 91, 100, 189, 262, 9001, 10107, 11600, 11601, 11602, 13435, 13436];

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MongoError {
    /// It cannot at this moment; whether it did, nobody knows.
    #[error("MongoDB is away")]
    Away(#[source] Box<Error>),
    /// It did not answer in time; whether it did, nobody knows.
    #[error("MongoDB did not answer within {0:?}")]
    TimedOut(Duration),
    /// It refuses.
    #[error("MongoDB refuses")]
    Failed(#[source] Box<Error>),
}

impl From<Error> for MongoError {
    fn from(error: Error) -> Self {
        if is_away(&error) { Self::Away(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl MongoError {
    /// Whether trying again may help.
    #[must_use]
    pub fn is_away(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }

    /// Whether the only reason is that documents with the same unique values are there already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        match error.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE,
            ErrorKind::InsertMany(errors) => {
                let refused = errors.write_errors.as_deref().unwrap_or_default();
                errors.write_concern_error.is_none() && refused.iter().all(|error| error.code == DUPLICATE)
            }
            _ => false,
        }
    }
}

fn is_away(error: &Error) -> bool {
    if error.contains_label(RETRYABLE_WRITE_ERROR) || error.contains_label(RETRYABLE_ERROR) {
        return true;
    }
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. } => true,
        ErrorKind::Command(error) => AWAY.contains(&error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => AWAY.contains(&error.code),
        // It is written, but not by a majority.
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        ErrorKind::InsertMany(errors) => errors.write_concern_error.is_some(),
        _ => false,
    }
}
