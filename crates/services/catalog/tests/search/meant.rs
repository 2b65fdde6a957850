//! What is said of a query that finds nothing of its own.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_found_by_words_is_answered_by_meaning_and_better_spelling() {
    on_each(|shop| async move {
        shop.fill().await;
        let body = shop.search("q=gastronomy").await;
        assert_eq!(
            (titles(&body).first().map(String::as_str), &body["nearest"]),
            (Some("Salt and Fire"), &json!(true))
        );
        assert_eq!(body["items"][0]["matched"], json!({"text": false, "meaning": true}));
        // Far from everything: rather nothing.
        let body = shop.search("q=xylophone").await;
        assert_eq!((body["total"].as_i64(), &body["nearest"]), (Some(0), &json!(false)));
        let body = shop.search("q=dispossesed").await;
        assert_eq!((&body["did_you_mean"], &body["corrected_to"]), (&json!("dispossessed"), &json!("dispossessed")));
        assert_eq!((titles(&body)[0].as_str(), &body["total"]), ("The Dispossessed", &json!(1)));
        assert_eq!(shop.search("q=dispossessed").await.get("did_you_mean"), None);
        // As typed, on request: what it may have been is said all the same.
        let body = shop.search("q=dispossesed&exact=true").await;
        assert_eq!((&body["did_you_mean"], body.get("corrected_to")), (&json!("dispossessed"), None));
        assert_eq!(body["total"], 0, "{body}");
        let only = shop.search("q=left%20hnad%20of%20darknes").await;
        assert_eq!(only["corrected_to"], "left hand of darkness", "{only}");
        // Words of the language are spelt right, whether a book has them or not.
        for right in ["q=potatoes", "q=a%20book%20about%20a%20beacon", "q=stranded%20robots", "q=keepers%20mourn"] {
            let body = shop.search(right).await;
            assert_eq!((body.get("did_you_mean"), body.get("corrected_to")), (None, None), "{right}: {body}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_the_shop_does_not_have_is_said_so() {
    on_each(|shop| async move {
        shop.fill().await;
        for query in ["q=left%20wizard", "q=darkness%20asimov", "q=asimov%20xylophones"] {
            let body = shop.search(query).await;
            assert_eq!((&body["missing"], &body["total"]), (&json!(true), &json!(0)), "{query}: {body}");
            assert_eq!(body["facets"], json!({"subject": [], "language": [], "author": [], "price": []}), "{query}");
            assert!(body["items"].as_array().unwrap().iter().all(|item| item["related"] == true), "{query}: {body}");
        }
        for query in ["q=left%20hand", "q=asimov%20robot", "q=ursula%20wizard", "q=novels%20in%20french"] {
            let body = shop.search(query).await;
            assert_eq!(body["missing"], false, "{query}: {body}");
            assert!(body["total"].as_i64() > Some(0), "{query}: {body}");
        }
        // What shares only a first name or a word of the title with it is not like it.
        for query in ["q=isaac%20poter", "q=nadia%20kowalski", "q=robot%20farm", "q=mara%20smyth"] {
            let body = shop.search(query).await;
            assert_eq!((&body["missing"], &body["items"]), (&json!(true), &json!([])), "{query}: {body}");
        }
        // The same author's books are.
        let titles = shop.titles("q=asimov%20xylophones").await;
        assert_eq!(titles, ["I, Robot"]);
        // A title that begins like a question is one.
        shop.create(json!({"title": "Looking for Quartz", "authors": [], "price": usd(100)})).await;
        eventually("found", async || !shop.titles("q=looking%20for%20quartz").await.is_empty()).await;
        assert_eq!(shop.titles("q=looking%20for%20quartz").await[0], "Looking for Quartz");
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_sounds_like_one_of_the_shop_is_that_one() {
    on_each(|shop| async move {
        shop.fill().await;
        for (title, author) in [
            ("Mrs Dalloway", "Virginia Woolf"),
            ("Wolf Hall", "Hilary Mantel"),
            ("Lewis and Clark", "A. Guide"),
            ("A Christmas Carol", "Charles Dickens"),
            ("Alice in Wonderland", "Lewis Carroll"),
            ("Steven and Co", "Jon Smith"),
            ("Travels with Charley", "John Steinbeck"),
            ("Harry Potter and the Goblet of Fire", "J. K. Rowling"),
            ("The Da Vinci Code", "Dan Brown"),
        ] {
            shop.create(json!({"title": title, "authors": [author], "language": "en", "price": usd(100)})).await;
        }
        shop.ready().await;
        // Misspelt words, right words that are another name, both, and a word written together.
        for (query, meant, title) in [
            ("harry poter", "harry potter", "Harry Potter and the Goblet of Fire"),
            ("hary poter", "harry potter", "Harry Potter and the Goblet of Fire"),
            ("virginia wolf", "virginia woolf", "Mrs Dalloway"),
            ("lewis carol", "lewis carroll", "Alice in Wonderland"),
            ("jon steinbek", "john steinbeck", "Travels with Charley"),
            ("the davinchi code", "the da vinci code", "The Da Vinci Code"),
        ] {
            let body = shop.search(&format!("q={}", query.replace(' ', "%20"))).await;
            assert_eq!(body["corrected_to"], meant, "{query}: {body}");
            assert_eq!(body["items"][0]["book"]["title"], title, "{query}: {body}");
            // And there is a way back.
            let body = shop.search(&format!("q={}&exact=true", query.replace(' ', "%20"))).await;
            assert_eq!((&body["corrected_to"], &body["total"]), (&Value::Null, &json!(0)), "{query}: {body}");
        }
        // What is there as it is typed is not taken for anything else.
        for query in ["wolf%20hall", "christmas%20carol", "jon%20smith", "steven"] {
            let body = shop.search(&format!("q={query}")).await;
            assert_eq!((body["corrected_to"].as_str(), body["did_you_mean"].as_str()), (None, None), "{query}: {body}");
            assert_eq!(body["total"], 1, "{query}: {body}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isbn_with_a_wrong_digit_is_explained() {
    on_each(|shop| async move {
        shop.fill().await;
        // One digit wrong, two the wrong way round, the last one wrong: the book is found.
        for typed in ["9780441478135", "9780414478125", "978-0-441-47812-6", "0441478124"] {
            let body = shop.search(&format!("q={typed}")).await;
            assert_eq!(titles(&body), ["The Left Hand of Darkness"], "{typed}: {body}");
            assert_eq!(body["wrong_isbn"]["meant"], "9780441478125", "{typed}");
            assert_eq!(body["wrong_isbn"]["typed"], typed.replace('-', ""), "{typed}");
        }
        let body = shop.search("q=9780804429574").await;
        let wrong = json!({"typed": "9780804429574", "expected": "3", "meant": "9780804429573"});
        assert_eq!((&body["wrong_isbn"], &body["total"]), (&wrong, &json!(0)), "{body}");
        assert_eq!(shop.search("q=9780441478125").await.get("wrong_isbn"), None);
        shop
    })
    .await;
}
