//! Files that staff upload: checked, mapped, imported, cancelled.

use super::*;

#[tokio::test]
async fn an_uploaded_file_is_checked_mapped_and_imported() {
    on_each(|shop| async move {
        let workers = shop.workers();
        let file = "SKU;title;Betrag;Author\nA1;One;12,99;Ann\nA2;Two;cheap;Bob\nA3;Three;5,00;Ann\n";
        let uploaded = shop.upload("B%C3%BCcher.csv", file).await;
        assert_eq!((uploaded.status, &uploaded.body["status"]), (StatusCode::CREATED, &json!("checking")));
        assert_eq!((&uploaded.body["filename"], &uploaded.body["created_by"]), (&json!("Bücher.csv"), &json!("Staff")));
        let path = import_path(&uploaded);
        assert_eq!(uploaded.headers[header::LOCATION], format!("/api/v1{path}"));
        let ready = shop.checked(&uploaded).await;
        let summary = &ready["summary"];
        assert_eq!(
            (&ready["status"], &summary["added"], &summary["not_for_sale"]),
            (&json!("ready"), &json!(3), &json!(3))
        );
        assert_eq!((&summary["columns"][2]["name"], &summary["columns"][2]["field"]), (&json!("Betrag"), &Value::Null));
        assert_eq!(shop.count("books").await, 0, "a check writes nothing");

        let wrong = shop.send("PUT", &format!("{path}/mapping"), &[], json!({"mapping": {"preis": "Betrag"}})).await;
        assert_eq!((wrong.status, fields(&wrong)), (StatusCode::BAD_REQUEST, vec!["/mapping"]));
        let mapping = json!({"mapping": {"price": "Betrag"}});
        let mapped = shop.send("PUT", &format!("{path}/mapping"), &[], mapping.clone()).await;
        assert_eq!((mapped.status, &mapped.body["status"]), (StatusCode::ACCEPTED, &json!("checking")));
        let ready = shop.import_when(&path, |import| import["status"] == "ready").await;
        assert_eq!((&ready["summary"]["added"], &ready["summary"]["rejected"]), (&json!(2), &json!(1)), "{ready}");
        let reject = &ready["summary"]["rejects"][0];
        assert_eq!(
            (&reject["line"], &reject["column"], &reject["value"]),
            (&json!(3), &json!("Betrag"), &json!("cheap"))
        );
        assert!(reject["message"].as_str().unwrap().contains("write it like"), "{reject}");
        assert!(shop.report(&path).await.contains("3,rejected,Betrag,cheap,"));

        let started = shop.post(&format!("{path}/start")).await;
        assert_eq!((started.status, &started.body["status"]), (StatusCode::ACCEPTED, &json!("queued")));
        let done = shop.import_when(&path, |import| import["status"] == "done").await;
        let progress = json!({"records": 3, "added": 2, "changed": 0, "unchanged": 0, "rejected": 1, "percent": 100});
        assert_eq!(done["progress"], progress);
        assert_eq!((shop.count("books").await, shop.count("import_files").await), (2, 0));
        assert!(shop.report(&path).await.contains("3,rejected,Betrag,cheap,"));
        for late in ["start", "cancel"] {
            assert_eq!(shop.post(&format!("{path}/{late}")).await.status, StatusCode::CONFLICT, "{late}");
        }
        let late = shop.send("PUT", &format!("{path}/mapping"), &[], mapping).await;
        assert_eq!((late.status, &late.body["code"]), (StatusCode::CONFLICT, &json!("concurrent_change")));

        assert_eq!(shop.staff_get("/admin/imports").await.body["items"].as_array().unwrap().len(), 1);
        assert_eq!(shop.send("DELETE", &path, &[], Value::Null).await.status, StatusCode::NO_CONTENT);
        assert_eq!(shop.staff_get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(shop.count("books").await, 2, "books stay");
        workers.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_import_whose_process_dies_goes_on_where_it_was() {
    on_each(|shop| async move {
        let workers = shop.workers();
        let uploaded = shop.upload("many.csv", batches(8)).await;
        shop.checked(&uploaded).await;
        let path = import_path(&uploaded);
        shop.post(&format!("{path}/start")).await;
        shop.import_when(&path, |import| import["progress"]["records"].as_u64() >= Some(1_000)).await;
        workers.kill().await;
        let left = shop.settled(&path).await;
        assert_eq!(left["status"], "running", "it was killed in the middle: {left}");
        let written = left["progress"]["added"].as_i64().unwrap();

        // Nobody takes it over while its lease lasts.
        let early = shop.workers();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(shop.staff_get(&path).await.body["progress"], left["progress"]);
        early.stop().await;
        shop.clock.advance(Duration::from_secs(31));
        // The next one stops in the middle too, in good order; the one after it need not wait.
        let workers = shop.workers();
        shop.import_when(&path, |import| import["progress"]["added"].as_i64() > Some(written)).await;
        workers.stop().await;
        let workers = shop.workers();
        let done = shop.import_when(&path, |import| import["status"] == "done").await;
        workers.stop().await;
        let progress =
            json!({"records": 4_000, "added": 3_992, "changed": 0, "unchanged": 0, "rejected": 8, "percent": 100});
        assert_eq!(done["progress"], progress, "nothing was written twice");
        assert_eq!(shop.count("books").await, 3_992);
        let versions: i64 =
            shop.db().read().scalar("SELECT COUNT(*) FROM books WHERE version > 1", []).await.unwrap().unwrap();
        assert_eq!(versions, 0);
        // Of eight books with one ISBN seven are taken without it: told once each, as is every number of pages.
        assert_eq!((&done["summary"]["adjusted"], &done["summary"]["rejected"]), (&json!(15), &json!(8)));
        let report = shop.report(&path).await;
        assert_eq!((report.matches(",isbn13,").count(), report.matches(",soon,").count()), (7, 8), "{report}");
        assert_eq!(report.matches(",rejected,").count(), 8);
    })
    .await;
}

#[tokio::test]
async fn an_import_is_cancelled_and_goes_on() {
    on_each(|shop| async move {
        let workers = shop.workers();
        let (first, second) =
            (shop.upload("many.csv", batches(6)).await, shop.upload("next.csv", "SKU,title\nN1,Next\n").await);
        shop.checked(&first).await;
        shop.checked(&second).await;
        let (path, next) = (import_path(&first), import_path(&second));
        shop.post(&format!("{path}/start")).await;
        shop.import_when(&path, |import| import["progress"]["records"].as_u64() > Some(0)).await;
        // Another one waits for it, and can be taken back.
        assert_eq!(shop.post(&format!("{next}/start")).await.body["status"], "queued");
        assert_eq!(shop.send("DELETE", &next, &[], Value::Null).await.status, StatusCode::CONFLICT);
        assert_eq!(shop.post(&format!("{next}/cancel")).await.body["status"], "ready");
        assert_eq!(shop.post(&format!("{next}/start")).await.body["status"], "queued");

        let cancelled = shop.post(&format!("{path}/cancel")).await;
        assert_eq!(
            (cancelled.status, &cancelled.body["status"]),
            (StatusCode::ACCEPTED, &json!("cancelled")),
            "{}",
            cancelled.body
        );
        assert_eq!(shop.post(&format!("{path}/cancel")).await.status, StatusCode::ACCEPTED, "again");
        shop.import_when(&next, |import| import["status"] == "done").await;
        let answer = shop.staff_get(&path).await.body;
        let added = answer["progress"]["added"].as_i64().unwrap();
        assert_eq!(
            (added + 1, &answer["progress"]),
            (shop.count("books").await, &cancelled.body["progress"]),
            "nothing more was written"
        );

        assert_eq!(shop.post(&format!("{path}/start")).await.status, StatusCode::ACCEPTED);
        assert_eq!(
            shop.post(&format!("{path}/start")).await.status,
            StatusCode::ACCEPTED,
            "starting again changes nothing"
        );
        let done = shop.import_when(&path, |import| import["status"] == "done").await;
        assert_eq!((&done["progress"]["added"], &done["progress"]["unchanged"]), (&json!(2_994), &json!(0)));
        assert_eq!(shop.count("books").await, 2_995);
        workers.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_ends_its_process_again_and_again_is_given_up() {
    let shop = Shop::open(None).await;
    let uploaded = shop.upload("a.csv", "SKU,title\n1,A\n").await;
    let sql = "UPDATE imports SET attempts = 5, leased_until = 1";
    shop.db().transact(move |tx| Box::pin(async move { tx.exec(sql, []).await })).await.unwrap();
    let workers = shop.workers();
    let import = shop.checked(&uploaded).await;
    assert_eq!(import["status"], "unreadable");
    assert!(import["problem"].as_str().unwrap().contains("ended with its process 5 times"), "{import}");
    workers.stop().await;
}

#[tokio::test]
async fn an_upload_that_cannot_be_read_says_why() {
    let shop = Shop::open(None).await;
    let workers = shop.workers();
    for (name, content, says) in [
        ("books.xlsx", &b"PK\x03\x04 xl/workbook.xml"[..], "XLSX"),
        ("books.zip", b"PK\x03\x04 books.csv", "ZIP"),
        ("books.csv", b"%PDF-1.7", "PDF"),
        ("onix.xml", b"<?xml version=\"1.0\"?><ONIXMessage/>", "ONIX"),
        ("books.csv", b"colour,price\nred,1\n", "No column was recognised as the title"),
        ("zero.csv", b"co\0lour,price\nred,1\n", "No column was recognised as the title"),
        ("books.json", b"[]", "There is no book"),
        ("blank.csv", b"  \n", "There is no book"),
    ] {
        let answer = shop.upload(name, content.to_vec()).await;
        let import = shop.checked(&answer).await;
        assert_eq!(import["status"], "unreadable", "{name}: {import}");
        assert!(import["problem"].as_str().unwrap().contains(says), "{import}");
        let start = format!("{}/start", import_path(&answer));
        assert_eq!(shop.post(&start).await.status, StatusCode::CONFLICT, "{name}");
    }
    // The columns are shown, so that one can be named.
    let answer = shop.upload("books.csv", "Was,Preis\nBuch,1\n").await;
    let import = shop.checked(&answer).await;
    assert_eq!(import["summary"]["columns"][0]["name"], "Was", "{import}");
    let path = import_path(&answer);
    shop.send("PUT", &format!("{path}/mapping"), &[], json!({"mapping": {"title": "Was", "source_id": "Preis"}})).await;
    shop.import_when(&path, |import| import["status"] == "ready").await;
    shop.send("PUT", &format!("{path}/mapping"), &[], json!({"mapping": {"title": "Who"}})).await;
    let import = shop.import_when(&path, |import| import["status"] == "unreadable").await;
    assert!(import["problem"].as_str().unwrap().contains("no column `Who`"), "{import}");
    workers.stop().await;
}

#[tokio::test]
async fn an_upload_has_limits_and_is_made_once() {
    on_each(|shop| async move {
        let code = |answer: &Answer| answer.body["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(shop.upload("books.csv", "").await.status, StatusCode::BAD_REQUEST, "empty");
        for name in ["", "%00", "a%0Ab", &"x".repeat(201)] {
            assert_eq!(shop.upload(name, "title\nA\n").await.status, StatusCode::BAD_REQUEST, "{name}");
        }
        let large = shop.upload("books.csv", vec![b'a'; (16 << 20) + 1]).await;
        assert_eq!((large.status, code(&large)), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large".to_owned()));
        assert!(large.body["detail"].as_str().unwrap().contains("16 MiB"));
        assert_eq!(
            shop.upload("books.csv", vec![b'a'; 16 << 20]).await.status,
            StatusCode::CREATED,
            "just as large as allowed"
        );
        let form = shop.upload_as("f", "multipart/form-data; boundary=x", "a.csv", "--x--").await;
        assert_eq!(
            (form.status, code(&form)),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type".to_owned())
        );
        for kind in ["text/csv", "image/png", "nonsense"] {
            let answer = shop.upload_as(kind, kind, "a.csv", "title\nA\n").await;
            assert_eq!(answer.status, StatusCode::CREATED, "{kind}: the content says what it is");
        }
        // The same key is the same import.
        let first = shop.upload_as("key", "text/csv", "a.csv", "SKU,title\n1,A\n").await;
        let again = shop.upload_as("key", "text/csv", "a.csv", "SKU,title\n1,A\n").await;
        assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &first.body["id"]));
        let other = shop.upload_as("key", "text/csv", "a.csv", "SKU,title\n2,B\n").await;
        assert_eq!(
            (other.status, code(&other)),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused".to_owned())
        );
        let mut keyless = Request::post("/admin/imports?filename=a.csv").body(Body::from("title\nA\n")).unwrap();
        keyless.extensions_mut().insert(Caller::Account(shop.staff.clone()));
        assert_eq!(code(&shop.call(keyless).await), "idempotency_key_required");
        // Twenty are stored; one that waits to be imported is never removed.
        let workers = shop.workers();
        shop.checked(&first).await;
        workers.stop().await;
        shop.post(&format!("{}/start", import_path(&first))).await;
        for _ in 0..22 {
            assert_eq!(shop.upload("books.csv", "SKU,title\n1,A\n").await.status, StatusCode::CREATED);
        }
        assert_eq!((shop.count("imports").await, shop.count("import_files").await), (21, 21));
        assert_eq!(shop.staff_get(&import_path(&first)).await.body["status"], "queued");
        // Two at once are two.
        let (one, two) =
            tokio::join!(shop.upload("a.csv", "SKU,title\n1,A\n"), shop.upload("a.csv", "SKU,title\n1,A\n"));
        assert_eq!((one.status, two.status), (StatusCode::CREATED, StatusCode::CREATED));
        assert_ne!(one.body["id"], two.body["id"]);
    })
    .await;
}

#[tokio::test]
async fn imports_and_authors_are_for_staff() {
    let shop = Shop::open(None).await;
    let id = Uuid::now_v7();
    let customer = Arc::new(AccountClaims { roles: vec![Role::Customer], ..(*shop.staff).clone() });
    for (method, path) in [
        ("GET", "/admin/imports".to_owned()),
        ("POST", "/admin/imports?filename=a.csv".to_owned()),
        ("GET", format!("/admin/imports/{id}")),
        ("DELETE", format!("/admin/imports/{id}")),
        ("PUT", format!("/admin/imports/{id}/mapping")),
        ("POST", format!("/admin/imports/{id}/start")),
        ("POST", format!("/admin/imports/{id}/cancel")),
        ("GET", format!("/admin/imports/{id}/report")),
        ("GET", "/admin/authors/doubles".to_owned()),
        ("POST", format!("/authors/{id}/merge")),
        ("POST", format!("/authors/{id}/split")),
    ] {
        let request = || Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        assert_eq!(shop.call(request()).await.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let mut request = request();
        request.extensions_mut().insert(Caller::Account(customer.clone()));
        assert_eq!(shop.call(request).await.status, StatusCode::FORBIDDEN, "{method} {path}");
        if path.contains("imports/") && method != "PUT" {
            assert_eq!(
                shop.send(method, &path, &[], Value::Null).await.status,
                StatusCode::NOT_FOUND,
                "{method} {path}"
            );
        }
    }
}
