//! The contract of a backplane: two nodes behave as one hub.

use std::sync::Arc;

use bookworm_signalr::backplane::{Backplane, InProcess};
use bookworm_signalr::{Context, Credentials, GroupError, Hub, HubBuilder, Options, Principal};
use serde_json::json;

use super::client::{Server, Socket};

fn node(backplane: &Arc<dyn Backplane>) -> HubBuilder<()> {
    Hub::builder("test", ())
        .backplane(Arc::clone(backplane))
        .authenticate(async |credentials: Credentials| {
            Ok(credentials.token.map_or_else(Principal::anonymous, Principal::user))
        })
        .on("Id", async |ctx: Context<()>| Ok(ctx.connection_id().to_owned()))
}

async fn id(socket: &mut Socket) -> String {
    socket.invoke("Id", json!([])).await["result"].as_str().unwrap().to_owned()
}

/// What every backplane must do; the others come with the same suite.
async fn contract(backplane: Arc<dyn Backplane>) {
    let here = Server::start(node(&backplane).build(Options { maximum_groups: 1, ..Options::default() })).await;
    let there = Server::start(node(&backplane).build(Options { maximum_groups: 1, ..Options::default() })).await;
    let another = Hub::builder("another hub", ()).backplane(Arc::clone(&backplane)).build(Options::default());
    let another = Server::start(another).await;
    let mut near = here.connect_with("?access_token=ann").await;
    let mut far = there.connect_with("?access_token=ann").await;
    let mut stranger = another.connect().await;
    let (near_id, far_id) = (id(&mut near).await, id(&mut far).await);
    let clients = here.handle.clients();

    clients.all().send("all", (1,)).await.unwrap();
    clients.user("ann").send("user", (2,)).await.unwrap();
    clients.clients([&*near_id, &*far_id, "nobody"]).send("clients", (3,)).await.unwrap();
    for socket in [&mut near, &mut far] {
        for (target, number) in [("all", 1), ("user", 2), ("clients", 3)] {
            assert_eq!(
                socket.receive().await,
                json!({"type":1,"target":target,"arguments":[number]}),
                "once, in order"
            );
        }
    }
    clients.all_except([&*near_id]).send("except", ()).await.unwrap();
    clients.client(&*far_id).send("client", ()).await.unwrap();
    assert_eq!(far.receive().await["target"], "except");
    assert_eq!(far.receive().await["target"], "client");

    // Groups of a connection elsewhere: the answer comes when it is in.
    here.handle.join(&far_id, "room").await.unwrap();
    here.handle.join(&near_id, "room").await.unwrap();
    there.handle.clients().group("room").send("room", ()).await.unwrap();
    there.handle.clients().group_except("room", [&*near_id]).send("without", ()).await.unwrap();
    assert_eq!(near.receive().await["target"], "room");
    assert_eq!(far.receive().await["target"], "room");
    assert_eq!(far.receive().await["target"], "without");
    assert!(
        matches!(here.handle.join(&far_id, "second").await, Err(GroupError::TooMany(1))),
        "its limits are reported"
    );
    here.handle.leave(&far_id, "room").await.unwrap();
    here.handle.join("nobody", "room").await.unwrap();

    let client = clients.client(&*far_id);
    let (answer, ()) = tokio::join!(client.invoke::<u8>("answer", ("q",)), async {
        let call = far.receive().await;
        assert_eq!((&call["target"], &call["arguments"]), (&json!("answer"), &json!(["q"])), "and nothing of the room");
        far.say(json!({"type":3,"invocationId":call["invocationId"],"result":5})).await;
    });
    assert_eq!(answer.unwrap(), 5);
    let nobody = clients.client("nobody").invoke::<u8>("answer", ()).await.unwrap_err();
    assert_eq!(nobody.to_string(), "Connection 'nobody' does not exist.");

    assert!(here.handle.disconnect(&far_id).await.unwrap());
    assert_eq!(far.receive().await, json!({"type":7}));
    assert!(!here.handle.disconnect("nobody").await.unwrap());

    another.handle.clients().all().send("own", ()).await.unwrap();
    assert_eq!(stranger.receive().await["target"], "own", "hubs of other names receive nothing");
}

#[tokio::test]
async fn the_hubs_of_one_process() {
    contract(InProcess::new()).await;
}
