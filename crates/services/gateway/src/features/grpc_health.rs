//! Readiness as other processes ask for it: the gRPC Health Checking Protocol, `grpc.health.v1`.

use std::time::Duration;

use futures::{StreamExt, stream, stream::BoxStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health as HealthRpc, HealthServer},
};

use super::health::Health;

/// How often a watched process is looked at.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// Answers for one process and its roles.
struct Answers {
    health: Health,
    roles: Vec<&'static str>,
}

impl Health {
    /// The same answer as `/health/ready`, for the process (service `""`) and for each of its roles, by name.
    #[must_use]
    pub fn grpc(&self, roles: Vec<&'static str>) -> HealthServer<impl HealthRpc + use<>> {
        HealthServer::new(Answers { health: self.clone(), roles })
    }

    fn serving(&self) -> ServingStatus {
        if self.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing }
    }
}

impl Answers {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.roles.contains(&service)
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl HealthRpc for Answers {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            return Err(Status::not_found("this process has no such role"));
        }
        Ok(Response::new(response(self.health.serving())))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// The answer now, and each time it changes. Ends once the process is about to.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let health = self.health.clone();
        if !self.knows(&request.into_inner().service) {
            // By the protocol: the role may come, so that the stream stays open. Here none does until the process ends.
            let unknown = stream::once(async { Ok(response(ServingStatus::ServiceUnknown)) });
            let end = async move { health.drains().await };
            let open = stream::once(end).filter_map(|()| async { None });
            return Ok(Response::new(unknown.chain(open).boxed()));
        }
        let changes = stream::unfold(Some((health, None)), |state| async {
            let (health, last) = state?;
            loop {
                // In this order: what ends is not serving.
                let ends = health.is_draining();
                let now = health.serving();
                if last != Some(now) {
                    let next = (!ends).then_some((health, Some(now)));
                    return Some((Ok(response(now)), next));
                }
                if ends {
                    return None;
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EACH) => {}
                    () = health.drains() => {}
                }
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use bookworm_testing::clock;
    use tokio_util::sync::CancellationToken;
    use tonic::Code;

    use super::*;
    use crate::{Check, Note};

    struct Process {
        answers: Answers,
        has_keys: Arc<AtomicBool>,
        draining: CancellationToken,
    }

    /// A catalogue whose database is away.
    fn process() -> Process {
        let (has_keys, draining) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let have = has_keys.clone();
        let keys: Note = Arc::new(move || if have.load(Ordering::SeqCst) { "ok" } else { "none" }.to_owned());
        let away: Check = Arc::new(|| Box::pin(async { Err("away".to_owned()) }));
        let health =
            Health::new(vec![("catalog".to_owned(), away)], draining.clone(), clock()).with_own(vec![("keys", keys)]);
        Process { answers: Answers { health, roles: vec!["catalog"] }, has_keys, draining }
    }

    fn request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    async fn check(process: &Process, service: &str) -> Result<ServingStatus, Code> {
        let answer = process.answers.check(request(service)).await;
        answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_role_is_as_ready_as_its_process() {
        let process = process();
        for service in ["", "catalog"] {
            assert_eq!(check(&process, service).await, Ok(ServingStatus::Serving), "whatever its database does");
        }
        assert_eq!(check(&process, "basket").await, Err(Code::NotFound));
        process.has_keys.store(false, Ordering::SeqCst);
        assert_eq!(check(&process, "catalog").await, Ok(ServingStatus::NotServing));
        process.has_keys.store(true, Ordering::SeqCst);
        assert_eq!(check(&process, "catalog").await, Ok(ServingStatus::Serving));
        process.draining.cancel();
        assert_eq!(check(&process, "catalog").await, Ok(ServingStatus::NotServing));
    }

    #[tokio::test(start_paused = true)]
    async fn who_watches_hears_each_change_and_the_end() {
        let process = process();
        let mut watch = process.answers.watch(request("catalog")).await.expect("a stream").into_inner();
        let mut next = async || watch.next().await.map(|answer| answer.expect("an answer").status());
        assert_eq!(next().await, Some(ServingStatus::Serving));
        process.has_keys.store(false, Ordering::SeqCst);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        process.has_keys.store(true, Ordering::SeqCst);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        process.draining.cancel();
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        assert_eq!(next().await, None, "nobody keeps a process that ends from ending");
    }

    #[tokio::test(start_paused = true)]
    async fn who_watches_a_role_that_is_not_here_is_told_so_until_the_end() {
        let process = process();
        let mut watch = process.answers.watch(request("basket")).await.expect("a stream").into_inner();
        let first = watch.next().await.expect("an answer").expect("a status");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        assert!(futures::poll!(watch.next()).is_pending());
        process.draining.cancel();
        assert!(watch.next().await.is_none());
    }
}
