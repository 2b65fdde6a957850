//! Middleware in a row, as one layer.
//!
//! `axum::middleware::from_fn` makes a layer of each function, and each layer clones and boxes everything behind it for each
//! request: of twenty in a row the first clones nineteen boxes, the second eighteen. A [`Stack`] is one layer whatever its
//! length; its functions look like axum's and are called one after the other.

use std::{convert::Infallible, future::Future, sync::Arc};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::Route,
};
use futures::future::BoxFuture;
use tower::{Layer, Service};

type Middleware = Box<dyn Fn(Request, Next) -> BoxFuture<'static, Response> + Send + Sync>;

/// Middlewares in the order in which a request comes to them: `router.layer(Stack::new().with(first).with(second))`.
#[derive(Clone, Default)]
pub struct Stack(Arc<Vec<Middleware>>);

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stack").field(&self.0.len()).finish()
    }
}

impl Stack {
    /// Without any.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, behind those that are there.
    #[must_use]
    pub fn with<F, Fut>(self, middleware: F) -> Self
    where
        F: Fn(Request, Next) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        self.and(Box::new(move |request, next| Box::pin(middleware(request, next))))
    }

    /// One more, behind those that are there, which shares something among its requests.
    #[must_use]
    pub fn with_state<S, F, Fut>(self, state: S, middleware: F) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(State<S>, Request, Next) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        self.and(Box::new(move |request, next| Box::pin(middleware(State(state.clone()), request, next))))
    }

    /// One more, behind those that are there, which puts something into each request ([`axum::Extension`]).
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(self, extension: T) -> Self {
        self.and(Box::new(move |mut request, next| {
            request.extensions_mut().insert(extension.clone());
            next.run(request)
        }))
    }

    fn and(self, middleware: Middleware) -> Self {
        // Nobody else has it before it is a layer.
        let mut all = Arc::into_inner(self.0).unwrap_or_default();
        all.push(middleware);
        Self(Arc::new(all))
    }
}

impl Layer<Route> for Stack {
    type Service = Stacked;

    fn layer(&self, inner: Route) -> Stacked {
        Stacked { stack: self.0.clone(), inner }
    }
}

/// A route behind a [`Stack`].
#[derive(Clone)]
pub struct Stacked {
    stack: Arc<Vec<Middleware>>,
    inner: Route,
}

impl std::fmt::Debug for Stacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stacked").field(&self.stack.len()).finish()
    }
}

impl Service<Request> for Stacked {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        // Routes are always ready.
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let next = Next { stack: self.stack.clone(), at: 0, inner: self.inner.clone() };
        Box::pin(async move { Ok(next.run(request).await) })
    }
}

/// What is behind a middleware.
pub struct Next {
    stack: Arc<Vec<Middleware>>,
    at: usize,
    inner: Route,
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Next").field(&self.at).finish()
    }
}

impl Next {
    /// Has the request answered by it.
    pub fn run(mut self, request: Request) -> BoxFuture<'static, Response> {
        let stack = self.stack.clone();
        match stack.get(self.at) {
            Some(middleware) => {
                self.at += 1;
                middleware(request, self)
            }
            None => {
                let answer = self.inner.call(request);
                Box::pin(async move { answer.await.into_response() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Extension, Router, body::Body, http::HeaderValue, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn note(State(name): State<&'static str>, mut request: Request, next: Next) -> Response {
        request.headers_mut().append("way", HeaderValue::from_static(name));
        let mut response = next.run(request).await;
        response.headers_mut().append("back", HeaderValue::from_static(name));
        response
    }

    async fn refuse(request: Request, next: Next) -> Response {
        match request.uri().path() {
            "/refused" => "refused".into_response(),
            _ => next.run(request).await,
        }
    }

    fn all(headers: &axum::http::HeaderMap, name: &str) -> String {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    async fn ask(router: &Router, path: &str) -> (String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let back = all(answer.headers(), "back");
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        (String::from_utf8(body.to_vec()).unwrap(), back)
    }

    #[tokio::test]
    async fn a_request_passes_them_in_order_and_its_answer_the_other_way() {
        let way = async |Extension(number): Extension<u8>, request: Request| {
            format!("{}{number}", all(request.headers(), "way"))
        };
        let stack = Stack::new().with_state("a", note).with(refuse).with_extension(7_u8).with_state("b", note);
        let router = Router::new().route("/", get(way)).fallback(way).layer(stack.clone());
        for path in ["/", "/elsewhere", "/"] {
            assert_eq!(ask(&router, path).await, ("ab7".to_owned(), "ba".to_owned()), "{path}");
        }
        assert_eq!(ask(&router, "/refused").await, ("refused".to_owned(), "a".to_owned()));
        let twice = router.layer(Stack::new().with_state("c", note));
        assert_eq!(ask(&twice, "/").await, ("cab7".to_owned(), "bac".to_owned()));
        let none = Router::new().route("/", get(async || "fine")).layer(Stack::new());
        assert_eq!(ask(&none, "/").await.0, "fine");
    }
}
