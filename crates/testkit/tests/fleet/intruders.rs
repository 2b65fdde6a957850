//! Bad input on the internal listener: refused, and harmless.

use std::{net::SocketAddr, sync::Arc};

use bookworm_fleet::{FleetToken, HEADER};
use bookworm_kernel::SystemClock;
use bookworm_testkit::{TestShop, ask, exchange};
use http::{Method, StatusCode, Uri};

use crate::{APART, on_postgres};

const PATH: &str = "/api/v1/payment-methods";

fn token(secret: &str) -> FleetToken {
    FleetToken::new(secret, Arc::new(SystemClock))
}

/// `GET` with this header line; what comes back.
async fn get(address: SocketAddr, header: &str) -> String {
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
    String::from_utf8_lossy(&exchange(address, request.as_bytes()).await.unwrap()).into_owned()
}

#[tokio::test]
async fn whoever_is_not_of_the_fleet_is_refused_and_does_no_harm() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let place = APART.iter().filter(|role| **role != "gateway").position(|role| *role == "finance").unwrap();
        let address = shop.others()[place].internal.unwrap();
        let (ours, path) = (token("the-secret-of-every-fleet-under-test"), Uri::from_static(PATH));
        let pass = |token: &FleetToken| token.pass(&Method::GET, &path).to_str().unwrap().to_owned();
        let other = pass(&token("the secret of another fleet, as long"));
        let good = pass(&ours);
        let for_another = ours.pass(&Method::POST, &path).to_str().unwrap().to_owned();
        let old = good.replacen(good.split('.').nth(1).unwrap(), "1700000000", 1);
        let forged = ["x".to_owned(), other, for_another, old, "é".to_owned(), "v1.....".to_owned()];
        let mut lines: Vec<String> = forged.iter().map(|pass| format!("{HEADER}: {pass}\r\n")).collect();
        lines.extend([String::new(), format!("{HEADER}: {good}\r\n{HEADER}: {good}\r\n")]);
        for line in &lines {
            let answer = get(address, line).await;
            assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("unauthenticated"), "{line}: {answer}");
        }
        let line = format!("{HEADER}: {good}\r\n");
        assert!(get(address, &line).await.starts_with("HTTP/1.1 200"), "one of ours");
        assert!(get(address, &line).await.starts_with("HTTP/1.1 401"), "the same again");
        let call = "POST /bookworm.finance.v1.X/Y HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc\r\n\
             content-length: 0\r\n\r\n";
        let answer = String::from_utf8(exchange(address, call.as_bytes()).await.unwrap()).unwrap();
        assert!(answer.contains("grpc-status: 16"), "gRPC is told in its own words: {answer}");

        // No HTTP at all, a head beyond all limits, an HTTP/2 frame beyond all limits.
        let huge = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat();
        let frame = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], &[0; 100_000]].concat();
        // A greeting of TLS, and headers of HTTP/2 that no table can decode.
        let tls = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03][..], &[7; 500]].concat();
        let headers = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 9, 1, 4, 0, 0, 0, 1], &[0xff; 9]]
            .concat();
        let operations = shop.others()[place].operations.unwrap();
        for bytes in [&b"\x00\x01\x02 garbage\r\n\r\n"[..], &huge, &frame, &tls, &headers] {
            for listener in [address, operations] {
                let answer = exchange(listener, bytes).await.unwrap_or_default();
                assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
            }
        }
        assert_eq!(ask(operations, "/health/live").await.unwrap().0, StatusCode::OK, "none of it did harm");
        // The public port has no way in for them either.
        let front = shop.listen();
        let call = call.replace("finance.v1.X/Y", "basket.v1.Basket/GetBasket");
        let answer = String::from_utf8(exchange(front, call.as_bytes()).await.unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        let _ = shop.get(PATH).send().await.expect(StatusCode::OK);
        shop.stop().await;
    })
    .await;
}
