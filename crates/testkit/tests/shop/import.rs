//! A file of books on its way from staff's browser into the catalogue.

use bookworm_testkit::{Database, Response, TestShop, until};
use http::StatusCode;

/// A browser of somebody signed in.
struct Office<'a> {
    shop: &'a TestShop,
    cookies: String,
    csrf: String,
}

impl<'a> Office<'a> {
    async fn open(shop: &'a TestShop, token: &str) -> Self {
        let signed_in = format!("bw_access={token}");
        let page = shop.get("/admin/books/import").header("cookie", &signed_in).send().await.expect(StatusCode::OK);
        let seed = page.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
        let seed = seed.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.starts_with("bw_csrf="));
        let text = page.text();
        let csrf = text.split("name=\"_csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        Self { shop, cookies: format!("{signed_in}; {}", seed.unwrap()), csrf: csrf.to_owned() }
    }

    async fn get(&self, path: &str) -> Response {
        self.shop.get(path).header("cookie", &self.cookies).send().await
    }

    async fn upload(&self, csrf: &str, filename: &str, content: &[u8]) -> Response {
        let start = format!(
            "--X\r\nContent-Disposition: form-data; name=\"_csrf\"\r\n\r\n{csrf}\r\n--X\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\nContent-Type: text/csv\r\n\r\n"
        );
        let body = [start.as_bytes(), content, b"\r\n--X--\r\n"].concat();
        let request = self.shop.post("/admin/books/import").header("cookie", &self.cookies);
        request.header("content-type", "multipart/form-data; boundary=X").body(body).send().await
    }

    /// The page once it says this.
    async fn when(&self, path: &str, says: &str) -> String {
        until(says, || async {
            let seen = text(&self.get(path).await);
            seen.contains(says).then_some(seen)
        })
        .await
    }

    async fn post(&self, path: &str, fields: &str) -> Response {
        let request = self.shop.post(path).header("cookie", &self.cookies);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("_csrf={}&{fields}", self.csrf)).send().await
    }
}

fn text(answer: &Response) -> String {
    answer.text()
}

#[tokio::test]
async fn staff_upload_check_and_import_a_file_without_script() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let office = Office::open(&shop, shop.admin()).await;

    // Larger than any other form or request may be.
    let mut file = "SKU,title,Author,Cost,Stock quantity\n".to_owned();
    for i in 0..6_000 {
        let title = if i == 3 { String::new() } else { format!("A book with a rather long title, number {i}") };
        file.push_str(&format!("S{i},\"{title}\",Quill Ada,{i}.50,3\n"));
    }
    assert!(file.len() > 300_000);
    let uploaded = office.upload(&office.csrf, "shop export.csv", file.as_bytes()).await.expect(StatusCode::SEE_OTHER);
    let page = uploaded.header("location").unwrap().to_owned();
    let checked = office.when(&page, "Ready to import").await;
    for part in
        ["shop export.csv", "CSV, separated by commas", "To add", "5,999", "Cost", "not for sale", "Import 5,999 books"]
    {
        assert!(checked.contains(part), "{part}: {checked}");
    }

    // The column that was not understood is the price.
    let columns = "column-0=source_id&column-1=title&column-2=authors&column-3=price&column-4=stock";
    let _ = office.post(&format!("{page}/columns"), columns).await.expect(StatusCode::SEE_OTHER);
    let checked = office.when(&page, "Ready to import").await;
    assert!(checked.contains("$0.50") && !checked.contains("not for sale"), "{checked}");
    let _ = office.post(&format!("{page}/start"), "").await.expect(StatusCode::SEE_OTHER);
    let done = office.when(&page, "The import is done.").await;
    assert!(done.contains("5,999") && done.contains("Download the report"), "{done}");
    let report = office.get(&format!("{page}/report")).await.expect(StatusCode::OK);
    assert!(report.header("content-disposition").unwrap().starts_with("attachment"));
    assert!(text(&report).contains("5,rejected,title,,missing"), "{}", text(&report));
    let books = shop.get("/api/v1/books?author=Quill%20Ada&limit=1&min_price=5").send().await.body;
    assert_eq!(books["items"].as_array().unwrap().len(), 1);
    shop.stop().await;
}

#[tokio::test]
async fn nobody_else_uploads_and_limits_are_told() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let office = Office::open(&shop, shop.admin()).await;
    let forged = office.upload("forged", "a.csv", b"title,source_id\nA,1\n").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let customer = shop.customer("reader@example.org").await;
    let seen = shop.get("/admin/books/import").header("cookie", format!("bw_access={customer}")).send().await;
    assert_eq!(seen.status, StatusCode::FORBIDDEN);
    let empty = office.upload(&office.csrf, "a.csv", b"").await;
    assert!(empty.status == StatusCode::BAD_REQUEST && text(&empty).contains("This file is empty"), "{}", empty.status);
    let large = office.upload(&office.csrf, "a.csv", &vec![b'a'; (16 << 20) + 1]).await;
    assert!(
        large.status == StatusCode::PAYLOAD_TOO_LARGE && text(&large).contains("larger than 16 MB"),
        "{}",
        large.status
    );
    let excel =
        office.upload(&office.csrf, "a.xlsx", b"PK\x03\x04 xl/workbook.xml").await.expect(StatusCode::SEE_OTHER);
    let page = office.when(excel.header("location").unwrap(), "Not readable").await;
    assert!(page.contains("Excel workbook") && page.contains("CSV UTF-8") && !page.contains("/start\""), "{page}");
    // A customer's large body is refused before it is read.
    let cookies = format!("bw_access={customer}");
    let request = shop.post("/admin/books/import").header("cookie", &cookies);
    let refused =
        request.header("content-type", "multipart/form-data; boundary=X").body(vec![b'a'; 1 << 20]).send().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.stop().await;
}
