//! Requests that are not valid.

use super::*;

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 5).await.token();
        let headers = [("basket-token", token.as_str())];
        let id = book(1);
        let mut answers = Vec::new();
        let post = |kind: &str, body: Vec<u8>| {
            let request = shop.client.post("/basket/items").header("content-type", kind).body(body);
            async { Answer(request.send().await) }
        };
        for body in [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"book_id":"{id}"}}"#),
            format!(r#"{{"book_id":"{id}","quantity":"2"}}"#),
            format!(r#"{{"book_id":"{id}","quantity":0}}"#),
            format!(r#"{{"book_id":"{id}","quantity":-1}}"#),
            format!(r#"{{"book_id":"{id}","quantity":100}}"#),
            format!(r#"{{"book_id":"{id}","quantity":99999999999999999999}}"#),
            format!(r#"{{"book_id":"{id}","quantity":1.5}}"#),
            r#"{"book_id":"'; DROP TABLE baskets; --","quantity":1}"#.to_owned(),
            format!(r#"{{"book_id":"{id}","quantity":1,"price":1}}"#),
            format!(r#"{{"book_id":"{}","quantity":1}}"#, book(404)),
        ] {
            let request = shop.client.post("/basket/items").header("basket-token", &token);
            let request = request.header("content-type", "application/json").body(body.clone());
            let answer = Answer(request.send().await);
            answers.push(summary("POST", &body, &answer));
        }
        let invalid_utf8 = post("application/json", vec![b'"', 0xff, b'"']).await;
        answers.push(summary("POST", "(invalid UTF-8)", &invalid_utf8));
        let form = post("application/x-www-form-urlencoded", b"quantity=1".to_vec()).await;
        answers.push(summary("POST", "(form)", &form));
        for (path, quantity) in [
            (id.to_string(), json!(-1)),
            (id.to_string(), json!(100)),
            (id.to_string(), json!(i64::MAX)),
            (id.to_string(), json!("9")),
            (id.to_string(), Value::Null),
            (book(2).to_string(), json!(1)),
            ("nonsense".to_owned(), json!(1)),
        ] {
            let body = json!({"quantity": quantity});
            let answer = shop.ask(Method::PATCH, &format!("/basket/items/{path}"), &headers, Some(body.clone())).await;
            answers.push(summary("PATCH", &body.to_string(), &answer));
        }
        assert_snapshot!(answers.join("\n"), @r#"
        POST  -> 400 malformed_body
        POST { -> 400 malformed_body
        POST [] -> 400 validation_failed
        POST {} -> 400 validation_failed /book_id
        POST {"book_id":"00000000-0000-0000-0000-000000000001"} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":"2"} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":0} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":-1} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":100} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":99999999999999999999} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":1.5} -> 400 validation_failed /quantity
        POST {"book_id":"'; DROP TABLE baskets; --","quantity":1} -> 400 validation_failed /book_id
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":1,"price":1} -> 400 validation_failed /price
        POST {"book_id":"00000000-0000-0000-0000-000000000194","quantity":1} -> 404 not_found
        POST (invalid UTF-8) -> 400 malformed_body
        POST (form) -> 415 unsupported_media_type
        PATCH {"quantity":-1} -> 400 validation_failed /quantity
        PATCH {"quantity":100} -> 400 validation_failed /quantity
        PATCH {"quantity":9223372036854775807} -> 400 validation_failed /quantity
        PATCH {"quantity":"9"} -> 400 validation_failed /quantity
        PATCH {"quantity":null} -> 400 validation_failed /quantity
        PATCH {"quantity":1} -> 404 not_found
        PATCH {"quantity":1} -> 404 not_found
        "#);
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 1", 5)]));
        let bad_bearer = shop.basket(&[("authorization", "Bearer nonsense")]).await;
        assert_eq!((bad_bearer.status, &bad_bearer.body["code"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")));
        shop
    })
    .await;
}

fn summary(method: &str, sent: &str, answer: &Answer) -> String {
    let fields: Vec<_> =
        answer.body["errors"].as_array().into_iter().flatten().map(|error| error["field"].as_str().unwrap()).collect();
    format!(
        "{method} {sent} -> {} {} {}",
        answer.status.as_u16(),
        answer.body["code"].as_str().unwrap_or("?"),
        fields.join(" ")
    )
    .trim_end()
    .to_owned()
}
