//! From async functions with typed arguments to methods that a hub can call by name.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _};
use serde::Serialize;

use crate::arguments::{Incoming, Parameter};
use crate::context::{Call, Context};
use crate::error::HubError;
use crate::protocol::BindingError;

/// An async function that a client invokes for one result: `Fn(Context<S>, A, B, ...) -> Future<Result<R, HubError>>`
/// with up to eight parameters.
pub trait Handler<S, Parameters>: Send + Sync + 'static {
    /// How many arguments, and how many upload streams, it takes.
    const TAKES: (usize, usize);

    /// Binds the arguments and makes the call's future; nothing runs yet. The result is written in the call's protocol.
    ///
    /// # Errors
    /// [`BindingError`] when the arguments do not fit.
    fn call(&self, context: Context<S>, incoming: Incoming) -> Result<BoxFuture<'static, UnaryResult>, BindingError>;
}

/// An async function that a client invokes for a stream: `Fn(Context<S>, A, B, ...) -> Future<Result<St, HubError>>`,
/// where `St: Stream<Item = Result<T, HubError>>`.
///
/// When the client cancels, the stream is dropped; [`Context::cancellation`] is for those who must do more.
pub trait StreamHandler<S, Parameters>: Send + Sync + 'static {
    /// How many arguments, and how many upload streams, it takes.
    const TAKES: (usize, usize);

    /// Binds the arguments and makes the future that makes the stream. Items are written in the call's protocol.
    ///
    /// # Errors
    /// [`BindingError`] when the arguments do not fit.
    fn call(&self, context: Context<S>, incoming: Incoming) -> Result<BoxFuture<'static, StreamResult>, BindingError>;
}

/// What a call comes to: its result, written.
pub type UnaryResult = Result<Bytes, HubError>;
/// What a streaming call comes to: its items, written.
pub type StreamResult = Result<BoxStream<'static, UnaryResult>, HubError>;

macro_rules! handlers {
    ($(($($name:ident),*))*) => {$(
        impl<S, Fun, Fut, Ret, $($name: Parameter),*> Handler<S, ($($name,)*)> for Fun
        where
            S: Send + Sync + 'static,
            Fun: Fn(Context<S>, $($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Ret, HubError>> + Send + 'static,
            Ret: Serialize + 'static,
        {
            const TAKES: (usize, usize) = takes(&[$($name::IS_STREAM),*]);

            #[allow(non_snake_case, unused_mut, unused_variables, reason = "one macro for every number of parameters")]
            fn call(
                &self,
                context: Context<S>,
                mut incoming: Incoming,
            ) -> Result<BoxFuture<'static, UnaryResult>, BindingError> {
                let protocol = incoming.protocol;
                $(let $name = $name::bind(&mut incoming)?;)*
                let result = self(context, $($name),*);
                Ok(async move { Ok(protocol.encode(&result.await?)?) }.boxed())
            }
        }

        impl<S, Fun, Fut, St, Item, $($name: Parameter),*> StreamHandler<S, ($($name,)*)> for Fun
        where
            S: Send + Sync + 'static,
            Fun: Fn(Context<S>, $($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<St, HubError>> + Send + 'static,
            St: Stream<Item = Result<Item, HubError>> + Send + 'static,
            Item: Serialize + 'static,
        {
            const TAKES: (usize, usize) = takes(&[$($name::IS_STREAM),*]);

            #[allow(non_snake_case, unused_mut, unused_variables, reason = "one macro for every number of parameters")]
            fn call(
                &self,
                context: Context<S>,
                mut incoming: Incoming,
            ) -> Result<BoxFuture<'static, StreamResult>, BindingError> {
                let protocol = incoming.protocol;
                $(let $name = $name::bind(&mut incoming)?;)*
                let stream = self(context, $($name),*);
                Ok(async move {
                    Ok(stream.await?.map(move |item| Ok(protocol.encode(&item?)?)).boxed())
                }.boxed())
            }
        }
    )*};
}

handlers! {
    ()
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

/// Counts arguments and upload streams.
const fn takes(streams: &[bool]) -> (usize, usize) {
    let mut counted = (0, 0);
    let mut index = 0;
    while index < streams.len() {
        if streams[index] {
            counted.1 += 1;
        } else {
            counted.0 += 1;
        }
        index += 1;
    }
    counted
}

type Start<R> = Box<dyn Fn(Call, Incoming) -> Result<BoxFuture<'static, R>, BindingError> + Send + Sync>;

/// A method of a hub, its state and types forgotten.
pub(crate) struct Method {
    pub name: String,
    pub takes: (usize, usize),
    pub start: MethodStart,
    pub authorized: Option<Box<dyn Fn(Call) -> bool + Send + Sync>>,
    pub metrics: crate::metrics::MethodMetrics,
}

pub(crate) enum MethodStart {
    Unary(Start<UnaryResult>),
    Stream(Start<StreamResult>),
}

impl Method {
    pub fn unary<S: Send + Sync + 'static, P, H: Handler<S, P>>(
        hub: &str,
        name: &str,
        state: Arc<S>,
        handler: H,
    ) -> Self {
        Self {
            name: name.to_owned(),
            takes: H::TAKES,
            start: MethodStart::Unary(Box::new(move |call, incoming| {
                handler.call(Context::new(call, Arc::clone(&state)), incoming)
            })),
            authorized: None,
            metrics: crate::metrics::MethodMetrics::new(hub, name),
        }
    }

    pub fn stream<S: Send + Sync + 'static, P, H: StreamHandler<S, P>>(
        hub: &str,
        name: &str,
        state: Arc<S>,
        handler: H,
    ) -> Self {
        Self {
            name: name.to_owned(),
            takes: H::TAKES,
            start: MethodStart::Stream(Box::new(move |call, incoming| {
                handler.call(Context::new(call, Arc::clone(&state)), incoming)
            })),
            authorized: None,
            metrics: crate::metrics::MethodMetrics::new(hub, name),
        }
    }

    pub fn is_streaming(&self) -> bool {
        matches!(self.start, MethodStart::Stream(_))
    }
}
