//! What the monitor asks of the others: whether they answer (`grpc.health.v1`), and how they are.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bookworm_fleet::Peers;
use bookworm_http::tls::Connector;
use bookworm_registry::Instance;
use bookworm_rpc::{Sign, Transport, connect};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use tonic::{Code, Request, body::Body};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::domain::judgment::Answer;

/// How long an answer may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// Asks instances how they are.
pub(crate) trait Probe: Send + Sync {
    /// Asks one, and waits for [`TIMEOUT`] at most.
    fn ask(&self, instance: &Instance) -> BoxFuture<'static, Answer>;

    /// Gives up the connections to all but these.
    fn retain(&self, instances: &[&Instance]);
}

/// The shop's other processes.
pub(crate) trait Others: Send + Sync {
    /// One instance of each.
    fn processes(&self) -> Vec<Instance>;

    /// What one answers to this path on its internal listener; the error is for the log.
    fn read(&self, instance: &Instance, path: &'static str) -> BoxFuture<'static, Result<Bytes, String>>;
}

impl Others for Peers {
    fn processes(&self) -> Vec<Instance> {
        Self::processes(self)
    }

    fn read(&self, instance: &Instance, path: &'static str) -> BoxFuture<'static, Result<Bytes, String>> {
        let (peers, instance) = (self.clone(), instance.clone());
        Box::pin(async move {
            Self::read(&peers, &instance, PathAndQuery::from_static(path)).await.map_err(|error| error.to_string())
        })
    }
}

/// Asks over the network; the roles of one process share a connection.
pub(crate) struct GrpcProbe {
    sign: Sign,
    connector: Connector,
    /// By address.
    connections: Mutex<HashMap<String, Transport>>,
}

impl GrpcProbe {
    pub(crate) fn new(sign: Sign, connector: Connector) -> Self {
        Self { sign, connector, connections: Mutex::default() }
    }

    fn connection(&self, instance: &Instance) -> Option<Transport> {
        let address = instance.grpc.as_ref()?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(address) {
            return Some(connection.clone());
        }
        let (channel, sign) = (connect(instance, &self.connector)?, self.sign.clone());
        let connection = BoxCloneSyncService::new(service_fn(move |request: http::Request<Body>| {
            let (mut head, body) = request.into_parts();
            sign(&mut head);
            channel.clone().oneshot(http::Request::from_parts(head, body))
        }));
        connections.insert(address.clone(), connection.clone());
        Some(connection)
    }
}

impl Probe for GrpcProbe {
    fn ask(&self, instance: &Instance) -> BoxFuture<'static, Answer> {
        let (connection, role) = (self.connection(instance), instance.role().to_owned());
        Box::pin(async move {
            let Some(connection) = connection else { return Answer::Unreachable };
            // Without a `grpc-timeout`: the channel would end the call at the same moment, and call it a broken connection.
            let request = Request::new(HealthCheckRequest { service: role });
            let mut client = HealthClient::new(connection);
            match tokio::time::timeout(TIMEOUT, client.check(request)).await {
                Err(_) => Answer::Late,
                Ok(Ok(answer)) => match answer.into_inner().status() {
                    ServingStatus::Serving => Answer::Well,
                    ServingStatus::NotServing => Answer::NotReady,
                    ServingStatus::Unknown | ServingStatus::ServiceUnknown => Answer::Refused,
                },
                Ok(Err(status)) => match status.code() {
                    // A release that does not know the question yet has answered all the same.
                    Code::Unimplemented => Answer::Well,
                    Code::Unavailable => Answer::Unreachable,
                    Code::DeadlineExceeded | Code::Cancelled => Answer::Late,
                    _ => Answer::Refused,
                },
            }
        })
    }

    fn retain(&self, instances: &[&Instance]) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|address, _| instances.iter().any(|instance| instance.grpc.as_ref() == Some(address)));
    }
}
