//! Administrators: the first one, roles, the list of accounts.

use super::*;

on_every_database!(
    the_first_admin_is_made_once_and_gives_roles,
    the_first_admin_comes_from_the_settings,
    the_first_admin_counts_as_confirmed,
    admins_find_accounts,
);

async fn the_first_admin_is_made_once_and_gives_roles(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let printed = shop.service.ensure_admin(None, None).await.unwrap().unwrap();
    assert_eq!((printed.email.as_str(), printed.password.len()), ("admin@bookworm.example", 23));
    assert!(shop.service.ensure_admin(None, None).await.unwrap().is_none());
    let bearer = shop.sign_in(&printed.email, &printed.password).await.bearer();
    let admin_id = shop.get("/identity/me", &bearer).await.string("id");
    let ann = shop.register("ann@example.org").await.string("id");
    let customer = shop.sign_in("ann@example.org", PASSWORD).await;

    let roles = |bearer: &str, id: &str, roles: Value| {
        let (headers, path) = ([("authorization", bearer.to_owned())], format!("/identity/accounts/{id}/roles"));
        let shop = &shop;
        async move {
            let headers = headers.each_ref().map(|(k, v)| (*k, v.as_str()));
            shop.ask(Method::PUT, &path, &headers, Some(json!({"roles": roles}))).await
        }
    };
    assert_eq!(roles(&customer.bearer(), &ann, json!(["admin"])).await.code(), "forbidden");
    let promoted = roles(&bearer, &ann, json!(["staff", "agent", "staff"])).await;
    assert_eq!(promoted.body["roles"], json!(["customer", "agent", "staff"]));
    // The next token carries them.
    let token = shop.refresh(&customer.refresh()).await.string("access_token");
    assert!(shop.verifier.verify(&token).unwrap().is_staff());
    // The last admin stays one.
    let last = roles(&bearer, &admin_id, json!(["customer"])).await;
    assert_eq!((last.code(), &last.body["errors"][0]["field"]), ("validation_failed", &json!("/roles")));
    assert_eq!(roles(&bearer, &ann, json!(["admin"])).await.status, 200);
    assert_eq!(roles(&bearer, &admin_id, json!([])).await.body["roles"], json!(["customer"]));
    assert_eq!(roles(&bearer, &Uuid::new_v4().to_string(), json!([])).await.code(), "not_found");
    assert_eq!(roles(&bearer, "nonsense", json!([])).await.code(), "not_found");
    let unknown = roles(&bearer, &ann, json!(["king"])).await;
    assert_eq!((unknown.code(), &unknown.body["errors"][0]["field"]), ("validation_failed", &json!("/roles/0")));
}

async fn the_first_admin_comes_from_the_settings(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let secret = |text: &str| Secret::new(text);
    for (email, password) in [(Some("nonsense"), None), (None, Some("short"))] {
        let password = password.map(secret);
        let error = shop.service.ensure_admin(email, password.as_ref()).await.unwrap_err().to_string();
        assert!(error.starts_with("admin."), "names the key: {error}");
    }
    let password = secret("given by the owner");
    let printed = shop.service.ensure_admin(Some("owner@example.org"), Some(&password)).await.unwrap();
    assert!(printed.is_none(), "nothing to print: the owner knows it");
    let signed = shop.sign_in("owner@example.org", "given by the owner").await;
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body["roles"], json!(["customer", "admin"]));
}

async fn the_first_admin_counts_as_confirmed(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let admin = shop.admin().await;
    assert_eq!(shop.get("/identity/me", &admin).await.body["email_confirmed"], json!(true));
}

async fn admins_find_accounts(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let bearer = shop.admin().await;
    for n in 1..=5 {
        let body =
            json!({"email": format!("reader{n}@example.org"), "password": PASSWORD, "name": format!("Größe_{n}")});
        assert_eq!(shop.post("/identity/register", body).await.status, 201);
    }
    let list = async |query: &str| shop.get(&format!("/identity/accounts?{query}"), &bearer).await;
    let emails = |answer: &Response| -> Vec<String> {
        answer.body["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .iter()
            .map(|a| a["email"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = list("limit=4").await;
    assert_eq!(
        emails(&first),
        ["reader5@example.org", "reader4@example.org", "reader3@example.org", "reader2@example.org"]
    );
    let rest = list(&format!("limit=4&cursor={}", first.string("next"))).await;
    assert_eq!(emails(&rest), ["reader1@example.org", "admin@bookworm.example"]);
    assert_eq!(rest.body["next"], Value::Null);
    assert_eq!(emails(&list("q=READER3").await), ["reader3@example.org"]);
    assert_eq!(emails(&list("q=gr%C3%B6%C3%9Fe_4").await), ["reader4@example.org"]);
    assert_eq!(emails(&list("q=%25").await), Vec::<String>::new(), "a percent sign is no pattern");
    assert_eq!(emails(&list("role=admin").await), ["admin@bookworm.example"]);
    for (query, code) in
        [("role=king", "validation_failed"), ("limit=0", "validation_failed"), ("cursor=x", "invalid_cursor")]
    {
        assert_eq!(list(query).await.code(), code, "{query}");
    }
    let customer = shop.sign_in("reader1@example.org", PASSWORD).await.bearer();
    assert_eq!(shop.get("/identity/accounts", &customer).await.code(), "forbidden");
    assert_eq!(shop.ask(Method::GET, "/identity/accounts", &[], None).await.code(), "unauthenticated");
}
