//! Roles that run in other processes: which requests are passed on to them.

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{MethodFilter, MethodRouter, any, any_service},
};
use bookworm_fleet::{Pick, Upstream};
use bookworm_http::{Next, Stack};
use http::Uri;
use utoipa::openapi::{OpenApi, path::PathItem};
use utoipa_axum::router::OpenApiRouter;

/// What the instances of a role answer unequally well: these paths, better those that announced the capability.
#[derive(Debug, Clone, Copy)]
pub struct Better {
    /// As the document names them.
    pub paths: &'static [&'static str],
    /// As instances announce it.
    pub capability: &'static str,
}

/// The API of a role in another process: each operation of its document leads there.
pub fn api(document: OpenApi, role: &Upstream, better: Option<Better>) -> OpenApiRouter {
    let paths = document.paths.paths.clone();
    paths.iter().fold(OpenApiRouter::with_openapi(document), |router, (path, item)| {
        let role = match better.filter(|better| better.paths.contains(&&**path)) {
            Some(better) => role.preferring(better.capability),
            None => role.clone(),
        };
        let methods = methods(item);
        router.route(path, methods.fold(MethodRouter::new(), |route, method| route.on_service(method, role.clone())))
    })
}

fn methods(item: &PathItem) -> impl Iterator<Item = MethodFilter> {
    [
        item.get.as_ref().map(|_| MethodFilter::GET),
        item.put.as_ref().map(|_| MethodFilter::PUT),
        item.post.as_ref().map(|_| MethodFilter::POST),
        item.delete.as_ref().map(|_| MethodFilter::DELETE),
        item.patch.as_ref().map(|_| MethodFilter::PATCH),
        item.head.as_ref().map(|_| MethodFilter::HEAD),
        item.options.as_ref().map(|_| MethodFilter::OPTIONS),
        item.trace.as_ref().map(|_| MethodFilter::TRACE),
    ]
    .into_iter()
    .flatten()
}

/// Addresses outside the API that a role in another process answers.
pub fn routes(paths: &[&str], role: &Upstream) -> Router {
    paths.iter().fold(Router::new(), |router, path| router.route_service(path, any_service(role.clone())))
}

/// Every address that nobody else answers: the pages. `of_a_release` are addresses that name what one release has and
/// another has not: while both run, a page of the new one asks for what the old one does not know, and the other way round.
pub fn pages(role: Upstream, of_a_release: &[&str]) -> Router {
    let pass = |State(role): State<Upstream>, request: Request| async move { role.pass(Pick::Holding, request).await };
    let routes = of_a_release.iter().fold(Router::new(), |router, path| router.route(path, any(pass)));
    routes.with_state(role.clone()).fallback_service(role)
}

/// A hub in other processes: a connection stays with the instance where it was negotiated.
pub fn hub(paths: &[&str], role: &Upstream) -> Router {
    let pass = |State(role): State<Upstream>, request: Request| async move {
        let pick = instance(request.uri()).map_or(Pick::Any, Pick::Tagged);
        role.pass(pick, request).await
    };
    paths.iter().fold(Router::new(), |router, path| router.route(path, any(pass))).with_state(role.clone())
}

/// A hub in this process, one of several: connections of another instance are passed on to it.
pub fn shared_hub(hub: Router, own: String, role: Upstream) -> Router {
    hub.layer(Stack::new().with_state((own, role), here_or_there))
}

async fn here_or_there(State((own, role)): State<(String, Upstream)>, request: Request, next: Next) -> Response {
    match instance(request.uri()) {
        Some(tag) if tag != own && role.has(&tag) => role.pass(Pick::Tagged(tag), request).await,
        _ => next.run(request).await,
    }
}

/// The tag of the instance that a hub connection's token ends with.
fn instance(uri: &Uri) -> Option<String> {
    let id = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("id="))?;
    let (_, tag) = id.rsplit_once('.')?;
    (!tag.is_empty()).then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connections_token_ends_with_its_instance() {
        for (uri, tag) in [
            ("/hubs/chat?id=abc.0123456789ab", Some("0123456789ab")),
            ("/hubs/chat?access_token=x.y&id=a.b.c&_=1", Some("c")),
            ("/hubs/chat?id=abc", None),
            ("/hubs/chat?id=abc.", None),
            ("/hubs/chat?paid=a.b", None),
            ("/hubs/chat/negotiate?negotiateVersion=1", None),
            ("/hubs/chat", None),
        ] {
            assert_eq!(instance(&Uri::from_static(uri)).as_deref(), tag, "{uri}");
        }
    }
}
