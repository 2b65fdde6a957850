//! What only staff may ask.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_modes_and_synonyms_are_for_staff() {
    on_each(|shop| async move {
        shop.fill().await;
        for path in ["/search?q=robot&explain=true", "/search?q=robot&mode=text"] {
            assert_eq!(shop.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
            let customer = Some((CustomerId::new(), Role::Customer));
            let answer = shop.call(customer, Request::get(path).body(Body::empty()).unwrap()).await;
            assert_eq!(answer.body["code"], "forbidden", "{path}");
        }
        let answer = shop.staff("GET", "/search?q=robot%20machine&explain=true", &[], Value::Null).await;
        let why = &answer.body["items"][0]["explanation"];
        assert_eq!((&why["text_rank"], &why["meaning_rank"]), (&json!(1), &json!(1)), "{}", answer.body);
        assert!(!why["reasons"].as_array().unwrap().is_empty(), "{why}");
        for (mode, matched) in
            [("text", json!({"text": true, "meaning": false})), ("meaning", json!({"text": false, "meaning": true}))]
        {
            let answer = shop.staff("GET", &format!("/search?q=robot&mode={mode}"), &[], Value::Null).await;
            assert_eq!(titles(&answer.body)[0], "I, Robot");
            assert_eq!(answer.body["items"][0]["matched"], matched);
        }
        assert_eq!(shop.get("/search/synonyms").await.status, StatusCode::UNAUTHORIZED);
        let answer = shop.staff("GET", "/search/synonyms", &[], Value::Null).await;
        assert_eq!(
            (&answer.headers[header::ETAG], answer.body),
            (&http::HeaderValue::from_static("\"0\""), json!({"groups": []}))
        );
        assert_eq!(shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await.body["total"], 0);
        let groups = json!({"groups": [["bot tales", "I, Robot"], ["sf", "science fiction"]]});
        let old = [("if-match", "\"7\"")];
        assert_eq!(shop.staff("PUT", "/search/synonyms", &old, groups.clone()).await.body["code"], "edit_conflict");
        let answer = shop.staff("PUT", "/search/synonyms", &[("if-match", "\"0\"")], groups.clone()).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &groups));
        let answer = shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await;
        assert_eq!(titles(&answer.body).first().map(String::as_str), Some("I, Robot"), "{}", answer.body);
        for (groups, field) in [
            (json!([["alone"]]), "/groups/0"),
            (json!([["same", "Same"]]), "/groups/0"),
            (json!([["a", ""]]), "/groups/0/1"),
            (json!([["a", "!!"]]), "/groups/0/1"),
            (json!([["a", "x".repeat(61)]]), "/groups/0/1"),
            (json!([(0..21).map(|n| n.to_string()).collect::<Vec<_>>()]), "/groups/0"),
            (json!(vec![["a", "b"]; 1001]), "/groups"),
        ] {
            let answer = shop.staff("PUT", "/search/synonyms", &[("if-match", "*")], json!({"groups": groups})).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            let fields = answer.body["errors"].as_array().unwrap();
            assert!(fields.iter().any(|error| error["field"] == field), "{field}: {}", answer.body);
        }
        // They are there after a restart.
        let shop = shop.restart().await;
        shop.ready().await;
        let answer = shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await;
        assert_eq!(titles(&answer.body).first().map(String::as_str), Some("I, Robot"));
        shop
    })
    .await;
}
