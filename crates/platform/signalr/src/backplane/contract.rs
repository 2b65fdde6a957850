//! What every backplane must do, as a suite that an implementation runs in its own tests (feature `contract`).

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Audience, Backplane, Node, RemoteCall};
use crate::connection::lock;
use crate::error::{GroupError, InvokeError};
use crate::protocol::{Payload, Protocol};

/// How long a message may take to the other node.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
const HUB: &str = "contract";

/// A node with one connection, which notes what it is asked.
struct Recorder {
    connection_id: &'static str,
    received: Mutex<Vec<(Audience, RemoteCall)>>,
    groups: Mutex<Vec<String>>,
}

impl Recorder {
    fn new(connection_id: &'static str) -> Arc<Self> {
        Arc::new(Self { connection_id, received: Mutex::default(), groups: Mutex::default() })
    }

    fn has(&self, connection_id: &str) -> bool {
        self.connection_id == connection_id
    }

    async fn receives(&self, count: usize) -> Vec<(Audience, RemoteCall)> {
        let all = async {
            while lock(&self.received).len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(RECEIVE_TIMEOUT, all).await.expect("the other node receives what is published");
        std::mem::take(&mut *lock(&self.received))
    }
}

impl Node for Recorder {
    fn deliver(&self, audience: &Audience, call: &RemoteCall) {
        lock(&self.received).push((audience.clone(), call.clone()));
    }

    fn change_group(&self, connection_id: &str, group: &str, join: bool) -> Option<Result<(), GroupError>> {
        if !self.has(connection_id) {
            return None;
        }
        let mut groups = lock(&self.groups);
        groups.retain(|name| name != group);
        if join && !groups.is_empty() {
            return Some(Err(GroupError::TooMany(1)));
        }
        if join {
            groups.push(group.to_owned());
        }
        Some(Ok(()))
    }

    fn invoke(
        &self,
        connection_id: &str,
        call: &RemoteCall,
    ) -> Option<BoxFuture<'static, Result<Payload, InvokeError>>> {
        let answer = match call.target.as_str() {
            "fail" => Err(InvokeError::Client("no".to_owned())),
            // An answer is written in the protocol of the client that gave it.
            _ => Ok(Payload { protocol: Protocol::MessagePack, bytes: call.messagepack.clone() }),
        };
        self.has(connection_id).then(|| futures::future::ready(answer).boxed())
    }

    fn disconnect(&self, connection_id: &str) -> bool {
        self.has(connection_id)
    }
}

/// Runs the suite on two processes' handles of one backplane; within one process both may be the same.
///
/// # Panics
/// When the backplane breaks the contract.
pub async fn run(first: Arc<dyn Backplane>, second: Arc<dyn Backplane>) {
    let (near, far, stranger) = (Recorder::new("near"), Recorder::new("far"), Recorder::new("stranger"));
    let weak = |node: &Arc<Recorder>| Arc::downgrade(node) as Weak<dyn Node>;
    first.attach(HUB, weak(&near));
    assert!(near.received.lock().is_ok_and(|received| received.is_empty()));
    second.attach(HUB, weak(&far));
    second.attach("another hub", weak(&stranger));
    let me = weak(&near);
    assert!(!first.is_alone(HUB), "a node that is not alone knows it");

    let call = |target: &str| RemoteCall {
        target: target.to_owned(),
        json: Bytes::from_static(b"[1,\"\\u0000\"]"),
        messagepack: Bytes::from_static(&[0x92, 1, 0xA1, 0]),
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let audiences = [
        Audience::All { except: names(&["a", "b"]) },
        Audience::Connections(names(&["far", "nobody"])),
        Audience::Groups { names: names(&["room", "with space: *"]), except: names(&["c"]) },
        Audience::Users(names(&["42", "ü"])),
    ];
    for (index, audience) in audiences.iter().enumerate() {
        first.publish(HUB, &me, audience, &call(&format!("m{index}"))).await.expect("published");
    }
    let expected: Vec<_> = audiences.into_iter().enumerate().map(|(n, to)| (to, call(&format!("m{n}")))).collect();
    assert_eq!(far.receives(expected.len()).await, expected, "whole, and in order");
    assert!(lock(&near.received).is_empty(), "the publisher has served its own");

    let join = |id: &'static str, group: &'static str, join| first.change_group(HUB, &me, id, group, join);
    assert!(matches!(join("far", "room", true).await, Ok(Some(Ok(())))));
    assert_eq!(*lock(&far.groups), ["room"], "the answer comes when it is done");
    assert!(matches!(join("far", "second", true).await, Ok(Some(Err(GroupError::TooMany(1))))));
    assert!(matches!(join("far", "room", false).await, Ok(Some(Ok(())))));
    assert!(lock(&far.groups).is_empty());
    assert!(matches!(join("nobody", "room", true).await, Ok(None)));

    let answer = first.invoke(HUB, &me, "far", &call("ask")).await.expect("an answer");
    assert_eq!((answer.protocol, &answer.bytes), (Protocol::MessagePack, &call("ask").messagepack));
    let refused = first.invoke(HUB, &me, "far", &call("fail")).await;
    assert!(matches!(refused, Err(InvokeError::Client(text)) if text == "no"));
    let nobody = first.invoke(HUB, &me, "nobody", &call("ask")).await;
    assert!(matches!(nobody, Err(InvokeError::NoConnection(id)) if id == "nobody"));

    assert!(first.disconnect(HUB, &me, "far").await.expect("an answer"));
    assert!(!first.disconnect(HUB, &me, "nobody").await.expect("an answer"));
    assert!(lock(&stranger.received).is_empty(), "hubs of other names receive nothing");

    drop(far);
    let gone = first.invoke(HUB, &me, "far", &call("ask")).await;
    assert!(matches!(gone, Err(InvokeError::NoConnection(_))), "a node that is gone is not asked");
}

#[cfg(test)]
mod tests {
    use super::super::InProcess;

    #[tokio::test]
    async fn the_hubs_of_one_process_keep_the_contract() {
        let backplane = InProcess::new();
        super::run(backplane.clone(), backplane).await;
    }
}
