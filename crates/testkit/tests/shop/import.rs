//! A file of books on its way from staff's browser into the catalogue.

use bookworm_testkit::{Browser, Database, Page, TestShop, until};
use http::StatusCode;

/// A browser of somebody signed in.
struct Office {
    browser: Browser,
    csrf: String,
}

impl Office {
    async fn open(shop: &TestShop, token: &str) -> Self {
        let mut browser = shop.browser().with_cookie("bw_access", token);
        let csrf = browser.get("/admin/books/import").await.hidden("_csrf");
        Self { browser, csrf }
    }

    async fn get(&self, path: &str) -> Page {
        self.browser.clone().get(path).await
    }

    async fn upload(&mut self, csrf: &str, filename: &str, content: &[u8]) -> Page {
        let start = format!(
            "--X\r\nContent-Disposition: form-data; name=\"_csrf\"\r\n\r\n{csrf}\r\n--X\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\nContent-Type: text/csv\r\n\r\n"
        );
        let body = [start.as_bytes(), content, b"\r\n--X--\r\n"].concat();
        let request = self.browser.client.post("/admin/books/import");
        self.browser.send(request.header("content-type", "multipart/form-data; boundary=X").body(body)).await
    }

    /// The page once it says this.
    async fn when(&self, path: &str, says: &str) -> String {
        until(says, || async {
            let seen = self.get(path).await.body;
            seen.contains(says).then_some(seen)
        })
        .await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields = [&[("_csrf", self.csrf.as_str())], fields].concat();
        let page = self.browser.submit(path, &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        page
    }
}

#[tokio::test]
async fn staff_upload_check_and_import_a_file_without_script() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let mut office = Office::open(&shop, shop.admin()).await;

    // Larger than any other form or request may be.
    let mut file = "SKU,title,Author,Cost,Stock quantity\n".to_owned();
    for i in 0..6_000 {
        let title = if i == 3 { String::new() } else { format!("A book with a rather long title, number {i}") };
        file.push_str(&format!("S{i},\"{title}\",Quill Ada,{i}.50,3\n"));
    }
    assert!(file.len() > 300_000);
    let csrf = office.csrf.clone();
    let uploaded = office.upload(&csrf, "shop export.csv", file.as_bytes()).await;
    assert_eq!(uploaded.status, StatusCode::SEE_OTHER, "{}", uploaded.body);
    let page = uploaded.location().to_owned();
    let checked = office.when(&page, "Ready to import").await;
    for part in
        ["shop export.csv", "CSV, separated by commas", "To add", "5,999", "Cost", "not for sale", "Import 5,999 books"]
    {
        assert!(checked.contains(part), "{part}: {checked}");
    }

    // The column that was not understood is the price.
    let columns = [
        ("column-0", "source_id"),
        ("column-1", "title"),
        ("column-2", "authors"),
        ("column-3", "price"),
        ("column-4", "stock"),
    ];
    office.post(&format!("{page}/columns"), &columns).await;
    let checked = office.when(&page, "Ready to import").await;
    assert!(checked.contains("$0.50") && !checked.contains("not for sale"), "{checked}");
    office.post(&format!("{page}/start"), &[]).await;
    let done = office.when(&page, "The import is done.").await;
    assert!(done.contains("5,999") && done.contains("Download the report"), "{done}");
    let report = office.get(&format!("{page}/report")).await;
    assert!(report.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(report.body.contains("5,rejected,title,,missing"), "{}", report.body);
    let books = shop.get("/api/v1/books?author=Quill%20Ada&limit=1&min_price=5").send().await.body;
    assert_eq!(books["items"].as_array().unwrap().len(), 1);
    shop.stop().await;
}

#[tokio::test]
async fn nobody_else_uploads_and_limits_are_told() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let mut office = Office::open(&shop, shop.admin()).await;
    let csrf = office.csrf.clone();
    let forged = office.upload("forged", "a.csv", b"title,source_id\nA,1\n").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let customer = shop.customer("reader@example.org").await;
    let seen = shop.get("/admin/books/import").header("cookie", format!("bw_access={customer}")).send().await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let empty = office.upload(&csrf, "a.csv", b"").await;
    assert!(empty.status == StatusCode::BAD_REQUEST && empty.body.contains("This file is empty"), "{}", empty.status);
    let large = office.upload(&csrf, "a.csv", &vec![b'a'; (16 << 20) + 1]).await;
    assert!(
        large.status == StatusCode::PAYLOAD_TOO_LARGE && large.body.contains("larger than 16 MB"),
        "{}",
        large.status
    );
    let excel = office.upload(&csrf, "a.xlsx", b"PK\x03\x04 xl/workbook.xml").await;
    let page = office.when(excel.location(), "Not readable").await;
    assert!(page.contains("Excel workbook") && page.contains("CSV UTF-8") && !page.contains("/start\""), "{page}");
    // A customer's large body is refused before it is read.
    let cookies = format!("bw_access={customer}");
    let request = shop.post("/admin/books/import").header("cookie", &cookies);
    let refused =
        request.header("content-type", "multipart/form-data; boundary=X").body(vec![b'a'; 1 << 20]).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.stop().await;
}
