//! The connection: what is refused at start, in which words, and what happens when the server goes away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{path::PathBuf, time::Duration};

use bookworm_mongo::{ConnectError, Mongo, MongoError, Options};
use bookworm_testing::{FerretDb, eventually, mongodb_database, mongodb_url};
use mongodb::bson::{Document, doc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Long enough for a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        database: mongodb_database(),
        login: None,
        ca_file: None,
        certificate_key_file: None,
        connect_timeout: LONG,
    }
}

/// A server that answers the driver's greeting, and refuses every login. MongoDB's wire protocol: a header of four 32-bit
/// numbers (length, id, id of the request, kind), then for OP_QUERY flags, a name, two numbers and a document, for OP_MSG
/// flags, a zero and a document.
async fn fake(hello: Document) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let hello = hello.clone();
            tokio::spawn(async move { drop(talk(client, hello).await) });
        }
    });
    format!("mongodb://{address}")
}

async fn talk(mut client: TcpStream, hello: Document) -> std::io::Result<()> {
    loop {
        let mut header = [0; 16];
        client.read_exact(&mut header).await?;
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (length, id, kind) = (number(0), number(4), number(12));
        let mut body = vec![0; length as usize - 16];
        client.read_exact(&mut body).await?;
        let message = kind == 2013;
        let from = if message { 5 } else { body[4..].iter().position(|byte| *byte == 0).unwrap() + 13 };
        let command = Document::from_reader(&body[from..]).unwrap();
        let answer = match command.keys().next().unwrap().as_str() {
            "hello" | "isMaster" | "ismaster" => hello.clone(),
            "saslStart" => doc! { "ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "no" },
            "buildInfo" => doc! { "ok": 1.0, "version": "4.9.1" },
            _ => doc! { "ok": 1.0, "cursor": { "id": 0_i64, "ns": "a.b", "firstBatch": [] } },
        };
        let mut answer_body = if message { vec![0; 5] } else { [[0; 16].as_slice(), &1_i32.to_le_bytes()].concat() };
        answer.to_writer(&mut answer_body).unwrap();
        let kind = if message { 2013 } else { 1 };
        for number in [answer_body.len() as i32 + 16, 1, id, kind] {
            client.write_all(&number.to_le_bytes()).await?;
        }
        client.write_all(&answer_body).await?;
    }
}

fn hello(release: i32, primary: bool) -> Document {
    doc! {
        "ok": 1.0, "helloOk": true, "isWritablePrimary": primary, "ismaster": primary, "secondary": !primary,
        "minWireVersion": 0, "maxWireVersion": release, "maxBsonObjectSize": 16_777_216,
        "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
    }
}

async fn refused(options: Options) -> ConnectError {
    Mongo::connect(options).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_can_never_be_used_are_refused_at_once_and_in_words() {
    let old = refused(options(&fake(hello(12, true)).await)).await;
    assert!(matches!(&old, ConnectError::TooOld(_, release) if release == "4.9.1"), "{old:?}");
    assert!(old.to_string().ends_with("is release 4.9.1; 5.0 or newer is needed"), "{old}");
    // So old that the driver itself does not speak with it.
    let older = refused(options(&fake(hello(6, true)).await)).await;
    assert!(matches!(older, ConnectError::TooOld(..)), "{older:?}");
    let mut in_a_set = hello(21, false);
    in_a_set.extend(doc! { "setName": "rs0", "hosts": ["elsewhere:1"], "me": "elsewhere:2", "setVersion": 1 });
    let secondary = refused(options(&format!("{}/?directConnection=true", fake(in_a_set).await))).await;
    assert!(matches!(secondary, ConnectError::Secondary(_)), "{secondary:?}");
    let login = Some(("shop".to_owned(), "a secret password".to_owned()));
    let login = refused(Options { login, ..options(&fake(hello(21, true)).await) }).await;
    assert!(matches!(login, ConnectError::Login(..)), "{login:?}");
    let wrong = refused(options("mongodb://shop:a%20secret%20password@host/?tls=perhaps")).await;
    assert!(matches!(wrong, ConnectError::Options(_)), "{wrong:?}");
    for error in [login, wrong] {
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for() {
    let Some(mut server) = FerretDb::start() else { return };
    let url = server.url();
    server.kill();
    let away = refused(Options { connect_timeout: Duration::from_secs(1), ..options(&url) }).await;
    assert!(matches!(away, ConnectError::Away(..)), "{away:?}");
    let connecting = tokio::spawn(Mongo::connect(options(&url)));
    server.start_again();
    let mongo = connecting.await.unwrap().unwrap();
    let things = mongo.collection::<Document>("things");
    mongo.call(things.insert_one(doc! { "_id": 1 })).await.unwrap();
    let again = mongo.call(things.insert_one(doc! { "_id": 1 })).await.unwrap_err();
    assert!(again.is_duplicate() && !again.is_away(), "{again:?}");
    let both = mongo.call(things.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).ordered(false)).await;
    assert!(both.unwrap_err().is_duplicate());
    assert_eq!(mongo.call(things.count_documents(doc! {})).await.unwrap(), 2, "the other one is there");

    server.kill();
    let error = mongo.call(things.find_one(doc! {})).await.unwrap_err();
    assert!(error.is_away(), "{error:?}");
    server.start_again();
    eventually("it answers again", async || mongo.call(things.find_one(doc! {})).await.is_ok()).await;
    mongo.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_not_waited_for_without_end() {
    let Some(server) = FerretDb::start() else { return };
    let mongo = Mongo::connect(options(&server.url())).await.unwrap();
    server.pause(true);
    let error = mongo.call(mongo.collection::<Document>("things").find_one(doc! {})).await.unwrap_err();
    assert!(matches!(error, MongoError::TimedOut(_) | MongoError::Away(_)), "{error:?}");
    server.pause(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_trusts_the_authority_that_it_is_told_to_and_no_other() {
    let authority = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |folder: &std::path::Path, name: &str, text: String| -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let server = FerretDb::with(|folder| {
        let certificate = file(folder, "certificate.pem", authority.cert.pem());
        let key = file(folder, "key.pem", authority.signing_key.serialize_pem());
        let path = |file: PathBuf| file.to_str().unwrap().to_owned();
        vec!["-certificate".to_owned(), path(certificate), "-key".to_owned(), path(key)]
    });
    let Some(server) = server else { return };
    let ca_file = Some(server.folder().join("certificate.pem"));
    let mongo = Mongo::connect(Options { ca_file, ..options(&server.url()) }).await.unwrap();
    mongo.close().await;
    let (plain, usual) = (server.url(), format!("{}/?tls=true", server.url()));
    for url in [plain, usual] {
        let away = refused(Options { connect_timeout: Duration::from_secs(1), ..options(&url) }).await;
        assert!(matches!(away, ConnectError::Away(..)), "{away:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shared_server_is_good_enough() {
    let Some(url) = mongodb_url() else { return };
    Mongo::connect(options(&url)).await.unwrap().close().await;
}
