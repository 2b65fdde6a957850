//! The processes that the shop runs in, for staff.

use axum::{Json, extract::State};
use bookworm_contracts::rest::operations::{Fleet, FleetInstance, FleetKind, FleetVerdict};
use bookworm_http::{
    auth::{Role, StaffOnly},
    openapi::ProblemResponses,
};
use bookworm_kernel::Timestamp;
use bookworm_registry::{Directory, Member};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the gateway knows of the shop's processes.
#[derive(Clone)]
pub struct KnownFleet {
    /// Who is there.
    pub directory: Directory,
    /// Who can be in there.
    pub kind: FleetKind,
    /// This process.
    pub process: String,
}

pub fn api(fleet: KnownFleet) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(processes)).with_state(fleet)
}

/// The processes of the shop, and how they are. Staff; addresses are for administrators.
#[utoipa::path(
    get,
    path = "/fleet",
    tag = "operations",
    responses((status = 200, description = "Each role of each process", body = Fleet), ProblemResponses),
    security(("bearer" = ["staff"]))
)]
async fn processes(StaffOnly(account): StaffOnly, State(fleet): State<KnownFleet>) -> Json<Fleet> {
    let view = fleet.directory.view();
    let may_see_addresses = account.has(Role::Admin);
    let instances = view.members.iter().map(|member| instance(member, may_see_addresses)).collect();
    Json(Fleet { kind: fleet.kind, current: view.current, answered_by: fleet.process, instances })
}

fn instance(member: &Member, with_address: bool) -> FleetInstance {
    let Member { instance, verdict } = member;
    FleetInstance {
        role: instance.role().to_owned(),
        instance: instance.id().to_owned(),
        address: instance.grpc.clone().filter(|_| with_address),
        version: instance.version.clone(),
        started_at: Timestamp::from_micros(instance.generation),
        zone: instance.zone.clone(),
        state: instance.state.name().to_owned(),
        requests: instance.load.requests,
        open_breakers: instance.load.open_breakers.clone(),
        ejected: instance.load.ejected.clone(),
        verdict: verdict.as_ref().map(|verdict| FleetVerdict { reason: verdict.reason.clone(), since: verdict.since }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Extension;
    use bookworm_registry::{Instance, Key, Load, MemoryRegistry, Registry, State as Says, Verdict};
    use bookworm_testing::{Client, NOW, TokenMint, clock};
    use http::{Method, StatusCode};
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn announced(role: &str, id: &str, state: Says) -> Instance {
        Instance {
            key: Key::new(role, id).unwrap(),
            generation: NOW.micros(),
            grpc: Some(format!("http://{id}.internal:9000")),
            http: None,
            version: "1.2.3".to_owned(),
            zone: "north".to_owned(),
            state,
            capabilities: Vec::new(),
            load: Load {
                requests: 3,
                open_breakers: vec!["catalog.ai.queries".to_owned()],
                ejected: vec!["ai.c".to_owned()],
            },
        }
    }

    /// One that is stopping, one that is judged out.
    async fn fleet() -> KnownFleet {
        let registry = MemoryRegistry::new();
        let (directory, follower) = Directory::following(Arc::new(registry.clone()));
        tokio::spawn(async move { follower.run(CancellationToken::new()).await });
        for instance in [announced("catalog", "a", Says::Draining), announced("basket", "b", Says::Ready)] {
            registry.announce(&instance).await.unwrap();
        }
        let verdict = Verdict {
            key: Key::new("basket", "b").unwrap(),
            generation: NOW.micros(),
            reason: "it cannot be reached".to_owned(),
            since: NOW,
        };
        registry.judge(&verdict).await.unwrap();
        directory.wait_until(|view| view.members.iter().any(|member| member.verdict.is_some())).await;
        KnownFleet { directory, kind: FleetKind::Registry, process: "g".to_owned() }
    }

    #[tokio::test]
    async fn staff_see_how_everybody_is_and_administrators_where() {
        let mint = TokenMint::new(clock());
        let (router, _) = api(fleet().await).split_for_parts();
        let client = Client::new(router.layer(Extension(mint.verifier())));
        let ask = async |roles: &[Role]| {
            let account = bookworm_testing::account(roles);
            client.request(Method::GET, "/fleet").caller(account).send().await
        };
        assert_eq!(ask(&[Role::Customer]).await.status, StatusCode::FORBIDDEN);
        assert_eq!(ask(&[Role::Agent]).await.status, StatusCode::FORBIDDEN);
        let staff = ask(&[Role::Staff]).await.expect(StatusCode::OK).body;
        let common = json!({
            "version": "1.2.3", "started_at": NOW, "zone": "north", "requests": 3,
            "open_breakers": ["catalog.ai.queries"], "ejected": ["ai.c"],
        });
        let with = |more: serde_json::Value| {
            let mut all = common.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let basket = with(json!({
            "role": "basket", "instance": "b", "state": "ready",
            "verdict": {"reason": "it cannot be reached", "since": NOW},
        }));
        let catalog = with(json!({"role": "catalog", "instance": "a", "state": "draining"}));
        assert_eq!(
            staff,
            json!({"kind": "registry", "current": true, "answered_by": "g", "instances": [basket, catalog]})
        );
        let admin = ask(&[Role::Admin]).await.expect(StatusCode::OK).body;
        assert_eq!(admin["instances"][0]["address"], "http://b.internal:9000");
    }
}
