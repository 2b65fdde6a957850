//! Processes that know each other by certificates: everything between them goes through TLS, and nobody else gets in.

use std::path::Path;

use bookworm_testkit::{TestShop, ask, exchange};
use http::StatusCode;

use crate::on_postgres;

/// An authority's certificate, and a certificate of it with its key, as files; each of the second and third is another's.
fn certificates(folder: &Path) -> [String; 3] {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["bookworm-fleet".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
    [("ca.pem", authority_pem), ("certificate.pem", certificate), ("key.pem", key.serialize_pem())].map(
        |(name, text)| {
            let file = folder.join(name);
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_speak_tls_and_the_shop_is_the_same() {
    let Some(nats) = bookworm_testing::nats_url() else { return };
    on_postgres(|server| async move {
        let folder = tempfile::tempdir().unwrap();
        let [authority, certificate, key] = certificates(folder.path());
        let processes =
            ["gateway,web,monitor,identity,finance,notification,rating,ai", "catalog,basket,ordering", "chat"];
        let settings =
            [("fleet.certificate_file", &*certificate), ("fleet.key_file", &*key), ("fleet.ca_file", &*authority)];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &settings).await;
        // gRPC both ways, HTTP passed on, pages, messages: a purchase has it all.
        let book = shop.book("A book sold in private", 1_500, 3).await;
        let order = shop.buy(&[(book.id, 1)]).await;
        let _ = shop.get(&format!("/api/v1/books/{}", book.id)).send().await.expect(StatusCode::OK);
        assert_eq!(shop.order(order.id).await.id, order.id);
        let fleet = shop.get("/api/v1/fleet").bearer(shop.admin()).send().await.expect(StatusCode::OK).body;
        let instances = fleet["instances"].as_array().unwrap();
        assert!(instances.len() > 5, "{fleet}");
        assert!(instances.iter().all(|instance| instance["state"] == "ready"), "the monitor reaches them: {fleet}");

        let internal = shop.others()[0].internal.unwrap();
        let plain =
            exchange(internal, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap_or_default();
        assert!(!plain.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&plain));
        let operations = shop.others()[0].operations.unwrap();
        assert_eq!(ask(operations, "/health/live").await.unwrap().0, StatusCode::OK, "it did no harm");
        shop.stop().await;
    })
    .await;
}
