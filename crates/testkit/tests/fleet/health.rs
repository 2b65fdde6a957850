//! `grpc.health.v1` on the internal listener.

use std::{net::SocketAddr, sync::Arc};

use bookworm_fleet::{FleetToken, HEADER};
use bookworm_kernel::SystemClock;
use bookworm_testkit::TestShop;
use http::{Method, Uri};
use tonic::{Code, Request, Status, metadata::MetadataMap, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::on_postgres;

/// What a process says of one of its roles.
async fn check(address: SocketAddr, service: &str, secret: &str) -> Result<ServingStatus, Status> {
    let token = FleetToken::new(secret, Arc::new(SystemClock));
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = HealthClient::with_interceptor(channel, move |mut request: Request<()>| {
        let pass = token.pass(&Method::POST, &Uri::from_static("/grpc.health.v1.Health/Check"));
        let mut headers = std::mem::take(request.metadata_mut()).into_headers();
        headers.insert(HEADER, pass);
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(request)
    });
    let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn a_process_answers_the_fleet_for_each_of_its_roles_and_no_other() {
    on_postgres(|server| async move {
        let rest = "gateway,ai,basket,notification,identity,finance,ordering,rating,chat,web";
        let mut shop = TestShop::start_apart(&server, &[rest, "catalog"], &[]).await;
        let address = shop.others()[0].internal.unwrap();
        let secret = "the-secret-of-every-fleet-under-test";
        for service in ["", "catalog"] {
            assert_eq!(check(address, service, secret).await.unwrap(), ServingStatus::Serving, "{service:?}");
        }
        assert_eq!(check(address, "basket", secret).await.unwrap_err().code(), Code::NotFound);
        // Whether the question was read before it was refused is a matter of luck: often enough to see both.
        for _ in 0..50 {
            let refused = check(address, "catalog", "the secret of another fleet, as long").await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        }
        shop.stop().await;
    })
    .await;
}
