//! Arguments on their way out (tuples) and in (a handler's parameters).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer, de::DeserializeOwned};

use crate::error::HubError;
use crate::protocol::{BindingError, EncodeError, Payload, Protocol};

/// The arguments of a call to a client: a tuple of up to eight serialisable values.
pub trait SendArguments: Send + Sync {
    /// Writes them as one array of that protocol.
    ///
    /// # Errors
    /// [`EncodeError`] when a value cannot be written.
    fn encode(&self, protocol: Protocol) -> Result<Bytes, EncodeError>;
}

/// A handler's parameter: a value (anything that deserialises), or an [`UploadStream`].
pub trait Parameter: Sized + Send + 'static {
    /// Whether it is a stream that the caller uploads and no argument.
    const IS_STREAM: bool;

    /// Takes it from what came.
    ///
    /// # Errors
    /// [`BindingError::Type`] when the value is of another type.
    fn bind(call: &mut Incoming) -> Result<Self, BindingError>;
}

/// What came with an invocation, taken from the front.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) protocol: Protocol,
    pub(crate) values: std::vec::IntoIter<Bytes>,
    pub(crate) uploads: std::vec::IntoIter<Upload>,
}

/// The hub's end of an upload.
#[derive(Debug)]
pub(crate) struct UploadSender {
    pub items: mpsc::Sender<Payload>,
    pub ended: Arc<OnceLock<UploadEnd>>,
}

/// The handler's end of an upload.
#[derive(Debug)]
pub(crate) struct Upload {
    items: mpsc::Receiver<Payload>,
    ended: Arc<OnceLock<UploadEnd>>,
}

/// How an upload ended. One that ends without it lost its connection.
#[derive(Debug)]
pub(crate) enum UploadEnd {
    Complete,
    Failed(String),
}

/// An upload of which `capacity` items (at least one) may wait.
pub(crate) fn upload(capacity: usize) -> (UploadSender, Upload) {
    // The channel gives its one sender a place of its own.
    let (sender, receiver) = mpsc::channel(capacity.saturating_sub(1));
    let ended = Arc::new(OnceLock::new());
    (UploadSender { items: sender, ended: Arc::clone(&ended) }, Upload { items: receiver, ended })
}

impl<T: DeserializeOwned + Send + 'static> Parameter for T {
    const IS_STREAM: bool = false;

    fn bind(call: &mut Incoming) -> Result<Self, BindingError> {
        let value = call.values.next().ok_or(BindingError::Count { given: 0, expected: 1 })?;
        call.protocol.decode(&value)
    }
}

/// A stream that the caller uploads. An item of another type ends it with an error, as does the loss of the connection.
#[derive(Debug)]
pub struct UploadStream<T> {
    upload: Upload,
    over: bool,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> Parameter for UploadStream<T> {
    const IS_STREAM: bool = true;

    fn bind(call: &mut Incoming) -> Result<Self, BindingError> {
        let upload = call.uploads.next().ok_or(BindingError::Streams { given: 0, expected: 1 })?;
        Ok(Self { upload, over: false, of: std::marker::PhantomData })
    }
}

impl<T: DeserializeOwned> Stream for UploadStream<T> {
    type Item = Result<T, HubError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = match std::task::ready!(self.upload.items.poll_next_unpin(cx)) {
            Some(payload) => Some(payload.decode().map_err(HubError::from)),
            None => match self.upload.ended.get() {
                Some(UploadEnd::Complete) => None,
                Some(UploadEnd::Failed(text)) => Some(Err(HubError::new(text))),
                None => Some(Err(HubError::new("The underlying connection was closed."))),
            },
        };
        if !matches!(item, Some(Ok(_))) {
            self.over = true;
            self.upload.items.close();
        }
        Poll::Ready(item)
    }
}

/// A tuple seen as a list.
struct AsList<'a, T>(&'a T);

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Serialize + Send + Sync),*> SendArguments for ($($name,)*) {
            fn encode(&self, protocol: Protocol) -> Result<Bytes, EncodeError> {
                protocol.encode(&AsList(self))
            }
        }

        impl<$($name: Serialize),*> Serialize for AsList<'_, ($($name,)*)> {
            fn serialize<Ser: Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
                const COUNT: usize = [$($index),*].len();
                #[allow(unused_mut, reason = "the empty tuple adds nothing")]
                let mut list = serializer.serialize_seq(Some(COUNT))?;
                $(list.serialize_element(&self.0.$index)?;)*
                list.end()
            }
        }
    )*};
}

impl SendArguments for () {
    fn encode(&self, protocol: Protocol) -> Result<Bytes, EncodeError> {
        Ok(Bytes::from_static(match protocol {
            Protocol::Json => b"[]",
            Protocol::MessagePack => &[0x90],
        }))
    }
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_lists_of_any_length() {
        assert_eq!(().encode(Protocol::Json).unwrap(), "[]");
        assert_eq!((1,).encode(Protocol::Json).unwrap(), "[1]");
        assert_eq!((1, "b", None::<u8>).encode(Protocol::Json).unwrap(), "[1,\"b\",null]");
        assert_eq!(().encode(Protocol::MessagePack).unwrap()[..], [0x90]);
        assert_eq!((1, "b").encode(Protocol::MessagePack).unwrap()[..], [0x92, 1, 0xA1, b'b']);
    }
}
