//! An uploaded file whose import is killed half way is imported whole by the next start, and no book of it twice.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Program, ask};

/// Longer than the lease of an import, which ends by itself when its holder was killed, and a slow machine besides.
const TIMEOUT: Duration = Duration::from_secs(180);
const BOOKS: u64 = 8_000;

/// The status and the JSON of an answer.
async fn send(program: &Program, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let kind = if path.contains("imports") { "application/octet-stream" } else { "application/json" };
    let length = body.len();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nAuthorization: {token}\r\n\
         Content-Type: {kind}\r\nIdempotency-Key: {path}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let (answer, _) = ask(1, program.address, &request).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let json = answer.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body).unwrap_or_default());
    (status.unwrap_or_else(|| panic!("no answer: {answer}")), json.unwrap_or_default())
}

async fn administrator(program: &Program) -> String {
    let body = r#"{"grant_type":"password","email":"admin@shop.test","password":"a long admin password"}"#;
    let (status, signed_in) = send(program, "POST", "/identity/token", "", body).await;
    assert_eq!(status, 200, "{signed_in}");
    format!("Bearer {}", signed_in["access_token"].as_str().unwrap())
}

/// Asks for the import until it is as wanted.
async fn import_when(program: &Program, id: &str, token: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (status, import) = send(program, "GET", &format!("/admin/imports/{id}"), token, "").await;
        assert_eq!(status, 200, "{import}");
        if wanted(&import) {
            return import;
        }
        assert!(began.elapsed() < TIMEOUT, "{import}\n{}", program.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_import_is_finished_by_the_next_start_and_adds_no_book_twice() {
    let settings = [("BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED", "false")];
    let program = Program::start(1024, &settings).await;
    let token = administrator(&program).await;
    let mut file = "source_id,title,author,price,stock\n".to_owned();
    for i in 0..BOOKS {
        file.push_str(&format!("K{i},A book that was imported once {i},Ada Quill,{}.50,3\n", i % 90 + 1));
    }
    let (status, uploaded) = send(&program, "POST", "/admin/imports?filename=stock.csv", &token, &file).await;
    assert!((200..300).contains(&status), "{status} {uploaded}");
    let id = uploaded["id"].as_str().unwrap().to_owned();
    import_when(&program, &id, &token, |import| import["status"] == "ready").await;

    let (status, started) = send(&program, "POST", &format!("/admin/imports/{id}/start"), &token, "").await;
    assert!((200..300).contains(&status), "{status} {started}");
    let added = |import: &Value| import["progress"]["added"].as_u64().unwrap();
    let before = import_when(&program, &id, &token, |import| added(import) > 0).await;
    let program = program.killed_and_started(1024, &settings).await;
    assert_ne!(before["status"], "done", "it was over before it could be killed: more books are needed");

    let token = administrator(&program).await;
    let done = import_when(&program, &id, &token, |import| import["status"] == "done").await;
    assert_eq!(added(&done), BOOKS, "{done}");
    for other in ["changed", "unchanged", "rejected"] {
        assert_eq!(done["progress"][other], 0, "{done}");
    }
    // Each book is there as the file has it: the same file again has nothing to write.
    let (_, again) = send(&program, "POST", "/admin/imports?filename=again.csv", &token, &file).await;
    let again = again["id"].as_str().unwrap();
    let checked = import_when(&program, again, &token, |import| import["status"] == "ready").await;
    assert_eq!(checked["summary"]["added"], 0, "{checked}");
    assert_eq!(checked["summary"]["unchanged"], BOOKS, "{checked}");
}
