//! Making accounts, changing them, and what may be in them.

use super::*;

on_every_database!(
    an_account_is_made_and_signs_in_with_a_token_that_the_published_keys_check,
    an_address_has_one_account_even_when_two_ask_at_once,
    the_account_is_its_owners,
    a_password_is_the_same_however_its_letters_are_composed,
    an_international_domain_is_one_account_and_shown_as_typed,
    a_name_can_be_seen_and_is_no_link,
    bad_input_is_named_and_changes_nothing,
);

async fn an_account_is_made_and_signs_in_with_a_token_that_the_published_keys_check(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let made = shop.register(" Ann@Example.ORG ").await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let id = made.string("id");
    assert_eq!(
        made.body,
        json!({"id": id, "email": "Ann@example.org", "name": "Ann", "roles": ["customer"], "email_confirmed": false})
    );
    let outbox: Option<String> =
        shop.service.db().read().scalar("SELECT envelope FROM outbox ORDER BY seq DESC LIMIT 1", []).await.unwrap();
    let event: Value = serde_json::from_str(&outbox.unwrap()).unwrap();
    assert_eq!(event["type"], "events.identity.CustomerRegistered.v1");
    assert_eq!(event["data"], json!({"customer_id": id, "email": "Ann@example.org", "name": "Ann"}));

    let signed = shop.sign_in("ANN@example.org", PASSWORD).await;
    assert_eq!(signed.status, 200);
    assert_eq!((signed.string("token_type").as_str(), &signed.body["expires_in"]), ("Bearer", &json!(900)));
    assert_eq!(signed.headers["cache-control"], "no-store");
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body, made.body);

    // As a stranger would check it: with nothing but the published documents.
    let discovered = shop.ask(Method::GET, "/.well-known/openid-configuration", &[], None).await.body;
    assert_eq!(discovered["issuer"], "https://shop.example");
    assert_eq!(discovered["jwks_uri"], "https://shop.example/.well-known/jwks.json");
    let keys = shop.ask(Method::GET, "/.well-known/jwks.json", &[], None).await;
    assert_eq!(keys.headers["cache-control"], "public, max-age=300");
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.body.clone()).unwrap();
    let token = signed.string("access_token");
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&["https://shop.example"]);
    rules.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules).unwrap().claims;
    assert_eq!(
        (&claims["sub"], &claims["roles"], &claims["exp"]),
        (&json!(id), &json!(["customer"]), &json!(NOW + 900))
    );
    assert_eq!(keys.body["keys"].as_array().unwrap().len(), 1);
    let x = URL_SAFE_NO_PAD.decode(keys.body["keys"][0]["x"].as_str().unwrap()).unwrap();
    assert_eq!((kid, x), {
        let (kid, x) = shop.service.public_keys().remove(0);
        (kid, x.to_vec())
    });

    shop.clock.advance(15 * MINUTE);
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.code(), "invalid_token");
}

async fn an_address_has_one_account_even_when_two_ask_at_once(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let answers = futures::future::join_all(
        ["ann@example.org", "ANN@example.org", "Ann@EXAMPLE.org"].map(|email| shop.register(email)),
    )
    .await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    assert_eq!(shop.register("ann@example.org").await.code(), "email_taken");
    assert_eq!(shop.count("SELECT COUNT(*) FROM outbox").await, 2, "one account, and one link for its address");
}

async fn the_account_is_its_owners(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let signed = shop.sign_in("ann@example.org", PASSWORD).await;
    let bearer = signed.bearer();
    let headers = [("authorization", bearer.as_str())];
    let renamed = shop.ask(Method::PATCH, "/identity/me", &headers, Some(json!({"name": " Ann B. "}))).await;
    assert_eq!((renamed.status, renamed.string("name").as_str()), (StatusCode::OK, "Ann B."));
    assert_eq!(shop.get("/identity/me", &bearer).await.string("name"), "Ann B.");

    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        let headers = [("authorization", bearer.clone())];
        let shop = &shop;
        async move {
            let headers = headers.each_ref().map(|(k, v)| (*k, v.as_str()));
            shop.ask(Method::POST, "/identity/me/password", &headers, Some(body)).await
        }
    };
    let wrong = change("not mine at all", "another good one").await;
    assert_eq!((wrong.code(), &wrong.body["errors"][0]["field"]), ("validation_failed", &json!("/current_password")));
    let weak = change(PASSWORD, "password").await;
    assert_eq!((weak.code(), &weak.body["errors"][0]["field"]), ("validation_failed", &json!("/new_password")));
    let changed = change(PASSWORD, "another good one").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(shop.refresh(&signed.refresh()).await.code(), "invalid_token", "every other session is ended");
    assert_eq!(shop.refresh(&changed.refresh()).await.status, 200);
    assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.code(), "invalid_credentials");
    assert_eq!(shop.sign_in("ann@example.org", "another good one").await.status, 200);
}

async fn a_password_is_the_same_however_its_letters_are_composed(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let (nfc, nfd) = ("ma\u{f1}ana \u{fc}ber \u{e9} 1!", "man\u{303}ana u\u{308}ber e\u{301} 1!");
    for (email, first, then) in [("ann@reader.test", nfc, nfd), ("ben@reader.test", nfd, nfc)] {
        let body = json!({"email": email, "password": first, "name": "Ann"});
        assert_eq!(shop.post("/identity/register", body).await.status, StatusCode::CREATED);
        for typed in [first, then] {
            assert_eq!(shop.sign_in(email, typed).await.status, StatusCode::OK, "{typed:?}");
        }
        let plain = shop.sign_in(email, "manana uber e 1!").await;
        assert_eq!(plain.code(), "invalid_credentials", "accents count");
    }
}

async fn an_international_domain_is_one_account_and_shown_as_typed(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let made = shop.register("a@m\u{fc}nchen.example").await;
    assert_eq!((made.status, made.string("email").as_str()), (StatusCode::CREATED, "a@m\u{fc}nchen.example"));
    assert_eq!(shop.register("A@xn--mnchen-3ya.example").await.code(), "email_taken");
    for typed in ["a@m\u{fc}nchen.example", "a@MU\u{308}NCHEN.example", "a@xn--mnchen-3ya.example"] {
        assert_eq!(shop.sign_in(typed, PASSWORD).await.status, StatusCode::OK, "{typed}");
    }
    let local = shop.register("m\u{fc}ller@reader.test").await;
    assert_eq!(local.status, StatusCode::BAD_REQUEST);
    let message = local.body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("before the @"), "{message}");
}

async fn a_name_can_be_seen_and_is_no_link(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let token = {
        shop.register("ann@reader.test").await;
        shop.sign_in("ann@reader.test", PASSWORD).await.bearer()
    };
    for name in ["\u{200B}", "\u{202E}nnA", "Claim it at https://evil.example/win", "evil.com", "a@b.c"] {
        let body = json!({"email": "ben@reader.test", "password": PASSWORD, "name": name});
        let made = shop.post("/identity/register", body).await;
        assert_eq!((made.status, &made.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/name")));
        let renamed =
            shop.ask(Method::PATCH, "/identity/me", &[("authorization", &token)], Some(json!({"name": name}))).await;
        assert_eq!(renamed.code(), "validation_failed", "{name}");
    }
}

async fn bad_input_is_named_and_changes_nothing(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let mut answers = Vec::new();
    let mut send = async |path: &str, body: String| {
        let request = shop.client.post(path).header("content-type", "application/json");
        let answer = request.body(body.clone()).send().await;
        let fields: Vec<_> = answer.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| format!("{}: {}", e["field"].as_str().unwrap(), e["message"].as_str().unwrap()))
            .collect();
        let shown: String = body.chars().take(90).collect();
        let sent = format!("{path} {shown}");
        let (status, code) = (answer.status.as_u16(), answer.code());
        let line = format!("{}\n    {status} {code} {}", sent.trim_end(), fields.join("; "));
        answers.push(line.trim_end().to_owned());
    };
    let account = |email: &str, password: &str, name: &str| {
        json!({"email": email, "password": password, "name": name}).to_string()
    };
    for body in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        account("", "", ""),
        account("nonsense", "short", "  "),
        account("a@b.c\r\nBcc: x@y.z", PASSWORD, "a\u{0}b"),
        account("ann@example.org", "password123", "Ann"),
        account("annabella@example.org", "annabella", "Ann"),
        account("ann@example.org", &"x".repeat(129), &"n".repeat(101)),
        account(&format!("{}@example.org", "a".repeat(300)), "        ", "Ann"),
        r#"{"email":1,"password":"correct horse battery","name":"Ann"}"#.to_owned(),
        r#"{"email":"ann@example.org","password":null,"name":"Ann"}"#.to_owned(),
    ] {
        send("/identity/register", body).await;
    }
    for body in [
        "{}",
        r#"{"grant_type":"implicit"}"#,
        r#"{"grant_type":1}"#,
        r#"{"grant_type":"password"}"#,
        r#"{"grant_type":"password","email":"ann@example.org"}"#,
        r#"{"grant_type":"password","email":"ann@example.org","password":5}"#,
        r#"{"grant_type":"refresh_token"}"#,
        r#"{"grant_type":"refresh_token","refresh_token":[]}"#,
    ] {
        send("/identity/token", body.to_owned()).await;
    }
    for body in ["{}", r#"{"refresh_token":7}"#] {
        send("/identity/sign-out", body.to_owned()).await;
    }
    assert_snapshot!(answers.join("\n"), @r#"
        /identity/register
            400 malformed_body
        /identity/register {
            400 malformed_body
        /identity/register []
            400 validation_failed : must be an object
        /identity/register {}
            400 validation_failed /email: is required
        /identity/register {"email":"","name":"","password":""}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must be 8 to 128 characters, not 0; /name: must not be empty
        /identity/register {"email":"nonsense","name":"  ","password":"short"}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must be 8 to 128 characters, not 5; /name: must not be empty
        /identity/register {"email":"a@b.c\r\nBcc: x@y.z","name":"a\u0000b","password":"correct horse battery"}
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /name: must not contain control characters
        /identity/register {"email":"ann@example.org","name":"Ann","password":"password123"}
            400 validation_failed /password: is one of the passwords that are tried first; choose another
        /identity/register {"email":"annabella@example.org","name":"Ann","password":"annabella"}
            400 validation_failed /password: must not be your e-mail address
        /identity/register {"email":"ann@example.org","name":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
            400 validation_failed /password: must be 8 to 128 characters, not 129; /name: must be at most 100 characters, not 101
        /identity/register {"email":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            400 validation_failed /email: must be an e-mail address such as name@example.org, at most 254 characters; /password: must not be only spaces
        /identity/register {"email":1,"password":"correct horse battery","name":"Ann"}
            400 validation_failed /email: must be a string, not 1
        /identity/register {"email":"ann@example.org","password":null,"name":"Ann"}
            400 validation_failed /password: must be a string, not null
        /identity/token {}
            400 validation_failed /grant_type: is required
        /identity/token {"grant_type":"implicit"}
            400 validation_failed /grant_type: must be `password` or `refresh_token`
        /identity/token {"grant_type":1}
            400 validation_failed /grant_type: must be a string, not 1
        /identity/token {"grant_type":"password"}
            400 validation_failed /email: is required; /password: is required
        /identity/token {"grant_type":"password","email":"ann@example.org"}
            400 validation_failed /password: is required
        /identity/token {"grant_type":"password","email":"ann@example.org","password":5}
            400 validation_failed /password: must be a string, not 5
        /identity/token {"grant_type":"refresh_token"}
            400 validation_failed /refresh_token: is required
        /identity/token {"grant_type":"refresh_token","refresh_token":[]}
            400 validation_failed /refresh_token: must be a string, not an array
        /identity/sign-out {}
            400 validation_failed /refresh_token: is required
        /identity/sign-out {"refresh_token":7}
            400 validation_failed /refresh_token: must be a string, not 7
        "#);
    assert_eq!(shop.count("SELECT COUNT(*) FROM accounts").await, 0);
    let hostile = "<script>alert(1)</script>'; DROP TABLE accounts; --";
    let made = shop
        .post("/identity/register", json!({"email": "ann@example.org", "password": PASSWORD, "name": hostile}))
        .await;
    assert_eq!((made.status, made.string("name").as_str()), (StatusCode::CREATED, hostile), "text is only text");
    let form = shop.client.post("/identity/token").form("grant_type=password").send().await;
    assert_eq!(form.code(), "unsupported_media_type");
}
