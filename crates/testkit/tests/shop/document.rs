//! The API's document: complete, and changed only on purpose.

use std::collections::BTreeSet;

use bookworm_testkit::{Database, TestShop};
use serde_json::{Value, json};

/// Addresses that clients program against; each must be in the document.
const PROMISED: &[(&str, &str)] = &[
    ("post", "/identity/register"),
    ("post", "/identity/token"),
    ("get", "/identity/me"),
    ("post", "/identity/password-reset/check"),
    ("post", "/identity/confirm-email"),
    ("post", "/identity/me/confirm-email"),
    ("post", "/mail/confirm"),
    ("get", "/admin/mail/refusals"),
    ("get", "/books"),
    ("post", "/books"),
    ("get", "/books/{id}"),
    ("put", "/books/{id}"),
    ("delete", "/books/{id}"),
    ("get", "/books/isbn/{isbn}"),
    ("get", "/books/{id}/stock"),
    ("post", "/books/{id}/stock/adjustments"),
    ("get", "/books/{id}/similar"),
    ("get", "/books/{id}/reviews"),
    ("post", "/books/{id}/reviews"),
    ("get", "/reviews"),
    ("get", "/reviews/{id}"),
    ("put", "/reviews/{id}"),
    ("delete", "/reviews/{id}"),
    ("get", "/reviews/{id}/events"),
    ("put", "/reviews/{id}/helpful"),
    ("delete", "/reviews/{id}/helpful"),
    ("post", "/reviews/{id}/reports"),
    ("post", "/reviews/{id}/appeal"),
    ("put", "/reviews/{id}/answer"),
    ("delete", "/reviews/{id}/answer"),
    ("post", "/review-invitations/check"),
    ("get", "/review-invitations/unsubscribe"),
    ("post", "/review-invitations/unsubscribe"),
    ("get", "/admin/reviews"),
    ("post", "/admin/reviews/{id}/decision"),
    ("get", "/authors"),
    ("get", "/publishers"),
    ("get", "/subjects"),
    ("get", "/search"),
    ("get", "/search/suggest"),
    ("get", "/basket"),
    ("delete", "/basket"),
    ("post", "/basket/items"),
    ("patch", "/basket/items/{book_id}"),
    ("delete", "/basket/items/{book_id}"),
    ("post", "/orders/checkout"),
    ("get", "/orders"),
    ("get", "/orders/{id}"),
    ("get", "/orders/{id}/events"),
    ("post", "/orders/{id}/cancel"),
    ("post", "/orders/{id}/ship"),
    ("post", "/orders/{id}/complete"),
    ("post", "/orders/{id}/refund"),
    ("get", "/shipping-methods"),
    ("get", "/shipping-countries"),
    ("get", "/payment-methods"),
    ("get", "/conversations"),
    ("get", "/conversations/{id}"),
    ("delete", "/conversations/{id}"),
    ("get", "/conversations/{id}/messages"),
    ("get", "/conversations/{id}/context"),
    ("get", "/conversations/{id}/notes"),
    ("post", "/chat/classify"),
    ("get", "/chat/policies"),
    ("get", "/chat/canned-replies"),
    ("put", "/chat/canned-replies"),
    ("get", "/admin/imports"),
    ("post", "/admin/imports"),
    ("get", "/admin/imports/{id}"),
    ("delete", "/admin/imports/{id}"),
    ("put", "/admin/imports/{id}/mapping"),
    ("post", "/admin/imports/{id}/start"),
    ("post", "/admin/imports/{id}/cancel"),
    ("get", "/admin/imports/{id}/report"),
    ("get", "/admin/authors/doubles"),
    ("post", "/authors/{id}/merge"),
    ("post", "/authors/{id}/split"),
    ("get", "/admin/mail"),
    ("get", "/admin/dead-letters"),
    ("post", "/admin/dead-letters/{id}/retry"),
];

#[tokio::test]
async fn the_document_describes_every_address_and_is_the_one_kept_in_docs() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let document = shop.get("/api/v1/openapi.json").send().await.body;
    for (method, path) in PROMISED {
        assert!(document["paths"][path][method].is_object(), "{method} {path} is not described");
    }
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut dangling = BTreeSet::new();
    find_dangling(&document, &document, &mut dangling);
    assert!(dangling.is_empty(), "references that lead nowhere: {dangling:?}");

    // A summary stands in lists of operations: a line of at most 100 characters; the rest is its description.
    let long: Vec<_> = operations(&document)
        .iter()
        .filter(|operation| {
            let summary = operation.members["summary"].as_str().unwrap_or_default();
            summary.is_empty() || summary.contains('\n') || summary.chars().count() > 100
        })
        .map(Operation::name)
        .collect();
    assert!(long.is_empty(), "summaries that are missing or too long: {long:?}");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        stored == text,
        "the API changed: look at it, then UPDATE_OPENAPI=1 cargo test --workspace --test shop document"
    );
    shop.stop().await;
}

/// Collects every `$ref` that leads nowhere.
fn find_dangling(value: &Value, document: &Value, dangling: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && document.pointer(reference.trim_start_matches('#')).is_none()
            {
                dangling.insert(reference.clone());
            }
            members.values().for_each(|member| find_dangling(member, document, dangling));
        }
        Value::Array(items) => items.iter().for_each(|item| find_dangling(item, document, dangling)),
        _ => {}
    }
}

/// As `assert!`, for a test that reports every operation that is wrong, not only the first.
macro_rules! check {
    ($faults:ident, $holds:expr, $($what:tt)*) => {
        if !$holds {
            $faults.push(format!($($what)*));
        }
    };
}

/// As `assert_eq!`, likewise.
macro_rules! check_eq {
    ($faults:ident, $left:expr, $right:expr, $($what:tt)*) => {
        let (left, right) = (&$left, &$right);
        if left != right {
            $faults.push(format!("{}: {left:?}, not {right:?}", format!($($what)*)));
        }
    };
}

/// One operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    members: &'a Value,
    document: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(|(method, members)| Operation { method, path, members, document })
    });
    all.collect()
}

impl<'a> Operation<'a> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn parameters(&self, place: &str) -> Vec<&'a Value> {
        let all = self.members["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).collect()
    }

    fn takes(&self, header: &str) -> bool {
        self.parameters("header").iter().any(|one| one["name"].as_str().unwrap().eq_ignore_ascii_case(header))
    }

    /// Whether it answers nobody who leaves this header out.
    fn demands_header(&self, header: &str) -> bool {
        let named = |one: &Value| one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(header));
        self.parameters("header").into_iter().any(|one| named(one) && one["required"] == true)
    }

    fn has_body(&self) -> bool {
        self.members.get("requestBody").is_some()
    }

    /// Whether it takes JSON of a shape, and nothing else. A provider's webhook takes what the provider sends.
    fn reads_json(&self) -> bool {
        let content = self.members["requestBody"]["content"].as_object();
        content.is_some_and(|content| content.len() == 1 && content.contains_key("application/json"))
            && self.path != "/payments/webhooks/{provider}"
    }

    /// The roles of which one is demanded; empty: an account is enough. `None`: nobody needs to be signed in.
    fn demands(&self) -> Option<Vec<String>> {
        let requirements = self.members["security"].as_array().unwrap();
        let roles = |one: &Value| {
            let roles = one["bearer"].as_array().into_iter().flatten();
            roles.map(|role| role.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let open = requirements.iter().any(|one| one.as_object().unwrap().is_empty());
        (!open).then(|| requirements.iter().flat_map(roles).collect())
    }

    fn answer(&self, status: &str) -> Option<&'a Value> {
        Some(resolve(self.document, self.members["responses"].get(status)?))
    }

    /// The path with an id that names nothing in each of its places.
    fn unknown(&self) -> String {
        let mut path = format!("/api/v1{}", self.path);
        while let Some((start, end)) = path.find('{').zip(path.find('}')) {
            path.replace_range(start..=end, "0190b0a0-0000-7000-8000-000000000001");
        }
        path
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[tokio::test]
async fn every_operation_says_what_stands_before_it() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let document = shop.get("/api/v1/openapi.json").send().await.body;
    let mut faults = Vec::new();
    for operation in operations(&document) {
        let name = operation.name();
        let mut expected = vec!["400", "401", "414", "415", "429", "431", "500", "503", "504"];
        if operation.has_body() {
            expected.extend(["408", "413"]);
        }
        if operation.takes("If-Match") {
            expected.extend(["412", "428"]);
        }
        if operation.takes("Idempotency-Key") {
            expected.push("422");
        }
        if operation.demands().is_some_and(|roles| !roles.is_empty()) {
            expected.push("403");
        }
        if operation.path.contains('{') {
            expected.push("404");
        }
        for status in expected {
            check!(faults, operation.answer(status).is_some(), "{name}: {status} is not described");
        }
        for (status, _) in operation.members["responses"].as_object().unwrap() {
            let answer = operation.answer(status).unwrap();
            let header = |header: &str| answer["headers"].get(header).is_some();
            check!(faults, answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {status}");
            let without_body = ["414", "431"].contains(&status.as_str());
            if status.starts_with(['4', '5']) && !without_body {
                let content = answer["content"].as_object().unwrap();
                let schema = &content["application/problem+json"]["schema"]["$ref"];
                check_eq!(
                    faults,
                    (content.len(), schema.as_str()),
                    (1, Some("#/components/schemas/ProblemBody")),
                    "{name}"
                );
            }
            check_eq!(faults, header("X-Correlation-Id"), !without_body, "{name}: {status}");
            check_eq!(faults, header("Retry-After"), ["429", "503"].contains(&status.as_str()), "{name}: {status}");
            check_eq!(faults, header("WWW-Authenticate"), status == "401", "{name}: {status}");
            check!(faults, header("Location") || status != "201", "{name}");
            check!(faults, header("ETag") || status != "304", "{name}");
        }
        check_eq!(faults, operation.takes("If-None-Match"), operation.answer("304").is_some(), "{name}");
        for parameter in operation.parameters("query") {
            let description = parameter["description"].as_str().unwrap_or_default();
            let blank = parameter["allowEmptyValue"] == true && description.ends_with("as if left out.");
            check!(faults, blank != (parameter["required"] == true), "{name}: {parameter}");
            let schema = resolve(&document, &parameter["schema"]);
            let bounded = ["maximum", "maxLength", "pattern", "enum", "format", "oneOf"];
            let bounded = bounded.iter().any(|limit| schema.get(*limit).is_some()) || schema["type"] == "boolean";
            let keys = ["language", "country", "key"].contains(&parameter["name"].as_str().unwrap());
            check!(faults, bounded || keys, "{name}: what may {} be?", parameter["name"]);
        }
        for parameter in operation.members["parameters"].as_array().into_iter().flatten() {
            check!(faults, !parameter["schema"]["type"].is_array(), "{name}: a parameter is never null: {parameter}");
        }
    }
    shop.stop().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn every_operation_demands_what_it_says_and_answers_as_described() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let document = shop.get("/api/v1/openapi.json").send().await.body;
    let customer = shop.customer("ann@reader.test").await;
    let mut faults = Vec::new();
    for operation in operations(&document) {
        let (name, demands) = (operation.name(), operation.demands());
        let path = operation.unknown();
        let request = || {
            let method: http::Method = operation.method.to_uppercase().parse().unwrap();
            shop.request(method, &path)
        };
        let described = |faults: &mut Vec<String>, answer: &bookworm_testkit::Response, what: &str| {
            let status = answer.status.as_str();
            let Some(known) = operation.answer(status) else {
                faults.push(format!("{name}, {what}: {status} is not described"));
                return answer.status.as_u16();
            };
            let media = answer.header("content-type").unwrap_or_default();
            let content = known["content"].as_object().is_none_or(|content| content.contains_key(media));
            check!(faults, content, "{name}, {what}: {status} {media}");
            for (header, described) in known["headers"].as_object().into_iter().flatten() {
                let required = resolve(&document, described)["required"] == true;
                check!(
                    faults,
                    !required || answer.header(header).is_some(),
                    "{name}, {what}: {status} without {header}"
                );
            }
            if answer.header("etag").is_some() {
                check!(faults, known["headers"].get("ETag").is_some(), "{name}, {what}: {status} has an ETag");
            }
            answer.status.as_u16()
        };

        let guest = request().json(&json!({})).send().await;
        let refused = described(&mut faults, &guest, "a guest") == 401 && guest.is_problem("unauthenticated");
        check_eq!(faults, refused, demands.is_some(), "{name}: {} to a guest", guest.status);
        let answer = request().bearer(&customer).json(&json!({})).send().await;
        let forbidden = described(&mut faults, &answer, "a customer") == 403;
        check_eq!(
            faults,
            forbidden,
            demands.as_ref().is_some_and(|roles| !roles.is_empty()),
            "{name}: {}",
            answer.body
        );
        let answer = request().bearer(shop.admin()).json(&json!({})).send().await;
        let status = described(&mut faults, &answer, "an admin");
        check!(faults, status != 401 && status != 403, "{name}: {}", answer.body);
        if operation.takes("If-Match") {
            check_eq!(faults, status, 428, "{name}");
        }
        if operation.demands_header("Idempotency-Key") {
            check!(faults, answer.is_problem("idempotency_key_required"), "{name}: {}", answer.body);
        }

        let forged = request().bearer("forged").send().await;
        check_eq!(faults, described(&mut faults, &forged, "a forged token"), 401, "{name}");
        let encoded = request().header("content-encoding", "gzip").send().await;
        check_eq!(faults, described(&mut faults, &encoded, "an encoded body"), 415, "{name}");
        if operation.reads_json() {
            let whole = || {
                let versioned = request().bearer(shop.admin()).header("if-match", "*");
                versioned.header("idempotency-key", "k").header("basket-token", "b")
            };
            for kind in ["text/plain", "application/xml", "multipart/form-data; boundary=x", "*/*", "json"] {
                let answer = whole().header("content-type", kind).body("{}").send().await;
                check_eq!(faults, described(&mut faults, &answer, kind), 415, "{name}: {kind}");
            }
            for body in ["", "{", "[]", "null", "\"\"", "{\"a\":1,}", "\u{0}", "{\"no such field\": 1}"] {
                let answer = whole().header("content-type", "application/json").body(body).send().await;
                let status = described(&mut faults, &answer, body);
                check!(faults, (400..500).contains(&status), "{name}: {status} for {body:?}");
            }
        }
        let query = operation.parameters("query");
        if !query.is_empty() {
            let blank = |value: &str| {
                let pairs = query.iter().map(|one| format!("{}={value}", one["name"].as_str().unwrap()));
                format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
            };
            for token in [&customer, shop.admin()] {
                let plain = shop.get(&path).bearer(token).send().await;
                for value in ["", "%20", "+", "%E2%80%83"] {
                    let answer = shop.get(&blank(value)).bearer(token).send().await;
                    check_eq!(faults, answer.status, plain.status, "{name}: blank is left out: {}", answer.body);
                }
            }
        }
    }
    shop.stop().await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
