//! What a process answers, and where: to the public, to the shop's other processes, to operators.

use axum::{Router, extract::Request, routing::post};
use bookworm_basket::BasketService;
use bookworm_catalog::CatalogService;
use bookworm_chat::ChatService;
use bookworm_finance::{FinanceService, SandboxProvider};
use bookworm_fleet::{Gate, Upstream};
use bookworm_gateway::{
    Backends, GatewayService, Health, KnownTraces, Metrics,
    elsewhere::{self, Better},
};
use bookworm_http::fallback;
use bookworm_identity::IdentityService;
use bookworm_monitor::MonitorService;
use bookworm_notification::NotificationService;
use bookworm_ordering::OrderingService;
use bookworm_rating::RatingService;
use bookworm_web::WebService;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    Role, Roles,
    foundation::Foundation,
    part::{Grpc, Pages, SEARCH},
};

/// The router of each listener.
pub struct Listeners {
    /// For everybody: `None` without a gateway.
    pub public: Option<Router>,
    /// For the other processes of the shop: `None` without a fleet.
    pub internal: Option<Router>,
    /// For operators.
    pub operations: Router,
}

/// What the roles of this process bring to its listeners.
pub struct Brought {
    pub api: OpenApiRouter,
    pub others: Router,
    pub grpc: Vec<Grpc>,
    pub pages: Option<Pages>,
    pub on_api: Vec<Box<dyn FnOnce(Router) + Send>>,
    /// What other processes ask of this one, and how an operator has it left alone.
    pub processes: Router,
}

/// The operations of a role's API below `/api/v1`; `None` for a role without.
fn document(role: Role) -> Option<OpenApi> {
    match role {
        Role::Catalog => Some(CatalogService::document()),
        Role::Basket => Some(BasketService::document()),
        Role::Notification => Some(NotificationService::document()),
        Role::Identity => Some(IdentityService::document()),
        Role::Finance => Some(FinanceService::document()),
        Role::Ordering => Some(OrderingService::document()),
        Role::Rating => Some(RatingService::document()),
        Role::Chat => Some(ChatService::document()),
        Role::Monitor => Some(MonitorService::document()),
        Role::Ai | Role::Gateway | Role::Web => None,
    }
}

/// What some instances of a role answer better than others.
fn better(role: Role) -> Option<Better> {
    (role == Role::Catalog).then_some(Better { paths: &CatalogService::SEARCHES, capability: SEARCH })
}

/// The addresses of a role outside `/api/v1`.
fn other_routes(role: Role, upstream: &Upstream) -> Router {
    match role {
        Role::Identity => elsewhere::routes(&IdentityService::WELL_KNOWN, upstream),
        Role::Finance => elsewhere::routes(&SandboxProvider::PAGES, upstream),
        Role::Chat => elsewhere::hub(&ChatService::HUB, upstream),
        Role::Ai
        | Role::Catalog
        | Role::Basket
        | Role::Notification
        | Role::Ordering
        | Role::Rating
        | Role::Gateway
        | Role::Web
        | Role::Monitor => Router::new(),
    }
}

/// Puts together what each listener answers.
pub fn build(
    foundation: &Foundation,
    roles: &Roles,
    gateway: Option<&GatewayService>,
    brought: Brought,
    health: &Health,
    metrics: &Metrics,
) -> Listeners {
    let Brought { api, others, grpc, pages, on_api, processes } = brought;
    let (settings, verifier) = (&foundation.settings, &foundation.verifier);
    let upstream = |role: Role| foundation.peers.upstream(role.name());
    // What pages, the bot and the sandbox call: the whole public API, wherever its parts are.
    let (api, reach) = match gateway {
        Some(gateway) => {
            let absent = || Role::ALL.into_iter().filter(|role| !roles.has(*role));
            let whole = absent().fold(api, |api, role| match document(role) {
                Some(document) => api.merge(elsewhere::api(document, &upstream(role), better(role))),
                None => api,
            });
            let api = gateway.api(whole, health);
            (api.clone(), api)
        }
        None => {
            let api = bookworm_gateway::services_api(api, &settings.gateway, verifier);
            (api.clone(), api.fallback_service(upstream(Role::Gateway)))
        }
    };
    on_api.into_iter().for_each(|connect| connect(reach.clone()));
    let pages = pages.map(|pages| pages(reach));
    let others = match (roles.has(Role::Chat), foundation.fleet.tag()) {
        (true, Some(tag)) => elsewhere::shared_hub(others, tag, upstream(Role::Chat)),
        _ => others,
    };
    let internal = foundation.fleet.token.as_ref().filter(|_| foundation.fleet.address.is_some()).map(|token| {
        let health = Grpc::new(health.grpc(roles.iter().map(Role::name).collect()));
        let routes =
            grpc_routes(grpc.iter().chain([&health])).merge(processes).merge(api.clone()).merge(others.clone());
        let routes = match pages.clone() {
            Some(pages) => routes.merge(pages),
            None => fallback::install(routes),
        };
        bookworm_gateway::internal(routes, verifier, Gate::new(token.clone()))
    });
    let public = gateway.map(|gateway| {
        let absent = Role::ALL.into_iter().filter(|role| !roles.has(*role));
        let others = absent.fold(others, |others, role| others.merge(other_routes(role, &upstream(role))));
        let remote =
            foundation.fleet.reaches(Role::Web).then(|| elsewhere::pages(upstream(Role::Web), &[WebService::ASSETS]));
        let public_metrics = settings.fleet.operations_listen.is_none().then(|| metrics.clone());
        let https = settings.secure_cookies();
        let backends =
            Backends { pages: pages.or(remote), others, health: health.clone(), metrics: public_metrics, https };
        gateway.front(api, backends)
    });
    let traces = known_traces(foundation);
    let operations = bookworm_gateway::operations(health.clone(), metrics.clone(), traces);
    Listeners { public, internal, operations }
}

/// Where the recent traces of the shop are.
pub fn known_traces(foundation: &Foundation) -> KnownTraces {
    KnownTraces { peers: foundation.peers.clone(), process: foundation.fleet.instance.clone() }
}

/// The services of these roles, as HTTP/2 brings their calls.
fn grpc_routes<'a>(services: impl Iterator<Item = &'a Grpc>) -> Router {
    services.fold(Router::new(), |router, grpc| {
        let transport = grpc.transport.clone();
        let answer = move |request: Request| async move {
            let answer = transport.oneshot(request.map(tonic::body::Body::new)).await;
            answer.unwrap_or_else(tonic::Status::into_http)
        };
        router.route(&format!("/{}/{{method}}", grpc.name), post(answer))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// `GET /books` and so on.
    fn operations(document: &Value) -> Vec<String> {
        let paths = document["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().keys().filter(|key| !matches!(&***key, "parameters" | "summary"));
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(methods).collect()
    }

    #[test]
    fn what_some_answer_better_is_in_the_document_of_their_role() {
        let described = Role::ALL.into_iter().filter_map(|role| Some((document(role)?, better(role)?)));
        let mut paths = 0;
        for (document, better) in described {
            for path in better.paths {
                assert!(document.paths.paths.contains_key(*path), "{path}");
                paths += 1;
            }
        }
        assert_eq!(paths, CatalogService::SEARCHES.len());
    }

    #[test]
    fn every_operation_of_the_document_is_of_exactly_one_role() {
        let whole: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
        let mut owners: BTreeMap<String, Vec<Role>> = BTreeMap::new();
        for role in Role::ALL {
            let Some(document) = document(role) else { continue };
            for operation in operations(&serde_json::to_value(document).unwrap()) {
                owners.entry(operation).or_default().push(role);
            }
        }
        let several: Vec<_> = owners.iter().filter(|(_, roles)| roles.len() > 1).collect();
        assert!(several.is_empty(), "{several:?}");
        let ours = [
            "GET /admin/dead-letters",
            "GET /admin/health",
            "GET /admin/traces",
            "GET /admin/traces/{id}",
            "GET /fleet",
            "GET /status",
            "POST /admin/dead-letters/{id}/retry",
        ];
        let mut unowned: Vec<String> =
            operations(&whole).into_iter().filter(|operation| !owners.contains_key(operation)).collect();
        unowned.sort();
        assert_eq!(unowned, ours, "the gateway's own");
        let known = operations(&whole);
        let unknown: Vec<_> = owners.keys().filter(|operation| !known.contains(operation)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
