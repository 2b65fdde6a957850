use bookworm_contracts::grpc::ai::StatusResponse;

use crate::service::Ai;

impl Ai {
    /// Which model answers, and whether it is ready.
    pub fn status(&self) -> StatusResponse {
        match &self.vectors {
            Ok(vectors) => {
                let problem = vectors.provider.problem();
                StatusResponse {
                    model: vectors.provider.model(),
                    dimensions: vectors.provider.dimensions().and_then(|count| count.try_into().ok()).unwrap_or(0),
                    ready: problem.is_none(),
                    problem: problem.unwrap_or_default(),
                }
            }
            Err(reason) => StatusResponse { problem: reason.clone(), ..StatusResponse::default() },
        }
    }
}
