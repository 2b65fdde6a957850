//! What every backplane must do, as a suite that an implementation runs in its own tests (feature `contract`).

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Address, Audience, Backplane, Node, RemoteCall};
use crate::connection::lock;
use crate::error::{GroupError, InvokeError};
use crate::protocol::{Payload, Protocol};

/// How long a message may take to the other node.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
const HUB: &str = "contract";
/// What the connection of the second node has, besides its id.
const GROUPS: [&str; 2] = ["room", "with space: *"];
const USER: &str = "ü";

/// A node with one connection, which records what it is asked.
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

    /// Those of the audience who are here, one address each: a backplane may bring several at once, or only these.
    fn here(&self, audience: &Audience) -> Vec<Audience> {
        match audience {
            Audience::All { .. } => vec![audience.clone()],
            Audience::Connections(ids) => {
                ids.iter().filter(|id| self.has(id)).map(|id| Audience::Connections(vec![id.clone()])).collect()
            }
            Audience::Groups { names, except } => {
                let names = names.iter().filter(|name| GROUPS.contains(&name.as_str()));
                names.map(|name| Audience::Groups { names: vec![name.clone()], except: except.clone() }).collect()
            }
            Audience::Users(ids) => {
                ids.iter().filter(|id| *id == USER).map(|id| Audience::Users(vec![id.clone()])).collect()
            }
        }
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
        lock(&self.received).extend(self.here(audience).into_iter().map(|audience| (audience, call.clone())));
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
        let id = connection_id.to_owned();
        let answer = match call.target.as_str() {
            "fail" => Err(InvokeError::Client("no".to_owned())),
            "leave" => Err(InvokeError::Disconnected(id)),
            "sleep" => Err(InvokeError::TimedOut),
            "crowd" => Err(InvokeError::TooMany(7)),
            // An answer is written in the protocol of the client that gave it.
            _ => Ok(Payload { protocol: Protocol::MessagePack, bytes: call.messagepack.clone() }),
        };
        self.has(connection_id).then(|| futures::future::ready(answer).boxed())
    }

    fn disconnect(&self, connection_id: &str) -> bool {
        self.has(connection_id)
    }

    fn resynchronise(&self) {}
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
    let [room, other] = GROUPS.map(Address::Group);
    let addresses = [Address::Connection("far"), Address::User(USER), room, other];
    for address in addresses {
        second.listen(HUB, address);
    }
    // The publisher has a member of the same group, who is served already.
    first.listen(HUB, room);
    second.listening(HUB, &addresses).await;
    first.listening(HUB, &[room]).await;

    let call = |target: &str| RemoteCall {
        target: target.to_owned(),
        json: Bytes::from_static(b"[1,\"\\u0000\"]"),
        messagepack: Bytes::from_static(&[0x92, 1, 0xA1, 0]),
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let audiences = [
        Audience::All { except: names(&["a", "b"]) },
        Audience::Connections(names(&["far", "nobody"])),
        Audience::Groups { names: names(&GROUPS), except: names(&["c"]) },
        Audience::Groups { names: names(&["no such group"]), except: Vec::new() },
        Audience::Users(names(&["42", USER])),
    ];
    for (index, audience) in audiences.iter().enumerate() {
        first.publish(HUB, &me, audience, &call(&format!("m{index}"))).await.expect("published");
    }
    let expected: Vec<_> = audiences
        .iter()
        .enumerate()
        .flat_map(|(n, audience)| far.here(audience).into_iter().map(move |here| (here, n)))
        .map(|(here, n)| (here, call(&format!("m{n}"))))
        .collect();
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
    let refused = async |target| first.invoke(HUB, &me, "far", &call(target)).await;
    assert!(matches!(refused("fail").await, Err(InvokeError::Client(text)) if text == "no"));
    assert!(matches!(refused("leave").await, Err(InvokeError::Disconnected(id)) if id == "far"));
    assert!(matches!(refused("sleep").await, Err(InvokeError::TimedOut)));
    assert!(matches!(refused("crowd").await, Err(InvokeError::TooMany(7))));
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
