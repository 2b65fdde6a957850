//! Files as people have them, and what becomes of them.

use std::sync::Arc;

use bookworm_kernel::Currency;
use proptest::prelude::*;

use super::{
    ImportError,
    columns::{Mapping, Program},
    read::{Item, Options, Reader},
    record::Entry,
    report::{Plan, Reject},
    source::Source,
};

struct Read {
    taken: Vec<Entry>,
    rejected: Vec<Reject>,
    plan: Plan,
}

fn try_read(name: &str, bytes: &[u8], options: &Options, currency: &str) -> Result<Read, ImportError> {
    let source = Source::Memory { name: name.to_owned(), bytes: bytes.into() };
    let mut reader = Reader::open(&source, options, Currency::parse(currency).unwrap(), &Arc::default())?;
    let (mut taken, mut rejected) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next()? {
        match item {
            Item::Taken(entry) => taken.push(*entry),
            Item::Rejected(reject) => rejected.push(*reject),
        }
    }
    Ok(Read { taken, rejected, plan: reader.plan() })
}

fn read_as(name: &str, text: impl AsRef<[u8]>) -> Read {
    try_read(name, text.as_ref(), &Options::default(), "USD").unwrap()
}

fn csv(text: impl AsRef<[u8]>) -> Read {
    read_as("books.csv", text)
}

fn reasons(read: &Read) -> Vec<(u64, String)> {
    read.rejected.iter().map(|reject| (reject.note.line, reject.reason())).collect()
}

fn notes(read: &Read) -> Vec<String> {
    read.taken.iter().flat_map(|entry| entry.notes.iter().map(ToString::to_string)).collect()
}

fn isbn(entry: &Entry) -> String {
    entry.draft.isbn13.map(|isbn| isbn.to_string()).unwrap_or_default()
}

const GOODREADS: &str = "Book Id,Title,Author,Author l-f,Additional Authors,ISBN,ISBN13,My Rating,Average Rating,Publisher,Binding,\
Number of Pages,Year Published,Original Publication Year,Date Read,Date Added,Bookshelves,Bookshelves with positions,\
Exclusive Shelf,My Review,Spoiler,Private Notes,Read Count,Owned Copies\n\
18423,The Left Hand of Darkness,Ursula K. Le Guin,\"Le Guin, Ursula K.\",,\"=\"\"0441478123\"\"\",\"=\"\"9780441478125\"\"\",5,4.10,\
Ace Books,Paperback,304,1987,1969,2020/01/02,2019/05/06,\"science-fiction, to-read\",\"science-fiction (#3)\",read,,,,1,0\n\
12067,\"Good Omens (World of Ants, #2)\",Terry Pratchett,\"Pratchett, Terry\",\"Neil Gaiman, Ann Other\",=\"\",=\"\",0,4.25,Gollancz,Hardcover,\
0,2006,1990,,2019/05/06,,,to-read,,,,0,0\n";

#[test]
fn goodreads() {
    let read = csv(GOODREADS);
    assert_eq!(read.plan.program, Some(Program::Goodreads));
    assert!(read.rejected.is_empty(), "{:?}", reasons(&read));
    let [one, two] = read.taken.as_slice() else { panic!("two books") };
    assert_eq!((one.source_id.as_str(), isbn(one).as_str()), ("goodreads:18423", "9780441478125"));
    assert_eq!(one.draft.authors, ["Ursula K. Le Guin"]);
    assert_eq!(
        (one.draft.pages, one.draft.year, one.draft.publisher.as_deref()),
        (Some(304), Some(1969), Some("Ace Books"))
    );
    assert_eq!(one.draft.subjects, ["science-fiction"]);
    assert!(!one.draft.for_sale && !one.priced && one.stock.is_none(), "nothing is invented");
    assert_eq!((two.draft.title.as_str(), two.draft.series.as_deref()), ("Good Omens", Some("World of Ants, 2")));
    assert_eq!(two.draft.authors, ["Terry Pratchett", "Neil Gaiman", "Ann Other"]);
    assert!(read.plan.ignored().any(|name| name == "Average Rating"));
}

#[test]
fn story_graph() {
    let read = csv("Title,Authors,Contributors,ISBN/UID,Format,Read Status,Date Added,Star Rating,Tags,Owned?\n\
         Piranesi,Susanna Clarke,,9781526622426,hardcover,read,2021/01/01,4.5,\"fantasy, mystery\",Yes\n\
         A Zine,\"Ann Writer, Bob Other\",,b1f0c7de-0a4f,digital,to-read,2021/01/01,,,No\n\
         Nameless,,,,digital,to-read,2021/01/01,,,No\n");
    assert_eq!(read.plan.program, Some(Program::StoryGraph));
    assert_eq!((isbn(&read.taken[0]).as_str(), read.taken[0].draft.subjects.len()), ("9781526622426", 2));
    assert_eq!(read.taken[1].source_id, "storygraph:b1f0c7de-0a4f");
    assert_eq!(read.taken[1].draft.authors, ["Ann Writer", "Bob Other"]);
    assert_eq!(reasons(&read), [(4, "source_id: missing, and there is no isbn13 to make one of".to_owned())]);
}

#[test]
fn library_thing() {
    let table = "Book Id\tTitle\tSort Character\tPrimary Author\tSecondary Author\tPublication\tDate\tPage Count\tTags\tLanguages\tISBN\tISBNs\tList Price\n\
        77\tThe Dispossessed\t5\tLe Guin, Ursula K.\tDoe, Jane|Roe, Rick\tHarper & Row (1974), Edition: 1, 341 pages\t1974\t341 \tutopia, sf\tEnglish\t[0060512752]\t0060512752, 9780060512750\t$9.99\n";
    let utf16: Vec<u8> = format!("\u{feff}{table}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [table.as_bytes(), &utf16] {
        let read = read_as("librarything.tsv", bytes);
        assert_eq!(read.plan.program, Some(Program::LibraryThing));
        let one = &read.taken[0];
        assert_eq!((isbn(one).as_str(), one.source_id.as_str()), ("9780060512750", "librarything:77"));
        assert_eq!(one.draft.authors, ["Ursula K. Le Guin", "Jane Doe", "Rick Roe"]);
        assert_eq!(
            (one.draft.publisher.as_deref(), one.draft.year, one.draft.pages),
            (Some("Harper & Row"), Some(1974), Some(341))
        );
        assert_eq!((one.draft.language.as_deref(), one.draft.subjects.len()), (Some("en"), 2));
        assert!(!one.draft.for_sale, "what the owner paid is no price");
    }
    let json = r#"{"77": {"books_id":"77","title":"The Dispossessed","primaryauthor":"Le Guin, Ursula K.",
        "authors":[{"lf":"Le Guin, Ursula K.","fl":"Ursula K. Le Guin","role":"Author"}],"publication":"Harper & Row (1974)",
        "date":"1974","isbn":{"0":"0060512752","2":"9780060512750"},"language":["English"],"pages":"341 ","tags":["utopia"]},
        "78": {"books_id":"78","title":"Another","primaryauthor":"Plato","isbn":[]}}"#;
    let read = read_as("librarything.json", json);
    assert_eq!((read.taken.len(), read.plan.program), (2, Some(Program::LibraryThing)));
    assert_eq!((isbn(&read.taken[0]).as_str(), read.taken[0].draft.pages), ("9780060512750", Some(341)));
    assert_eq!(read.taken[1].draft.authors, ["Plato"]);
}

#[test]
fn shopify() {
    let read = csv(
        "Handle,Title,Body (HTML),Vendor,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Barcode,Image Src,Status\n\
         dune,Dune,<p>Spice &amp; sand</p>,Ace,\"sf, classics\",true,Title,Paperback,D1,4,9.99,12.99,'9780441478125,https://x/1.jpg,active\n\
         dune,,,,,,,,,,,,,https://x/2.jpg,\n\
         dune,,,,,,,Hardback,D2,1,29.99,,,,\n\
         emma,Emma,,Penguin,,true,Title,Default,E1,-2,5.00,5.00,,,draft\n",
    );
    assert_eq!((read.plan.program, read.taken.len(), read.rejected.len()), (Some(Program::Shopify), 2, 0));
    let (dune, emma) = (&read.taken[0], &read.taken[1]);
    assert_eq!((dune.draft.price, dune.draft.list_price, dune.stock), (999, Some(1299), Some(4)));
    assert_eq!((dune.draft.description.as_deref(), isbn(dune).as_str()), (Some("Spice & sand"), "9780441478125"));
    assert!(dune.draft.for_sale && dune.notes.iter().any(|note| note.line == 4 && note.message.contains("variant")));
    assert!(!emma.draft.for_sale && emma.stock == Some(0));
}

#[test]
fn woo_commerce() {
    let read = csv(
        "ID,Type,SKU,\"GTIN, UPC, EAN, or ISBN\",Name,Published,\"Visibility in catalog\",Description,\"Tax status\",\"In stock?\",Stock,\"Sale price\",\"Regular price\",Categories,Parent,\"Attribute 1 name\",\"Attribute 1 value(s)\"\n\
         1,simple,W1,9780441478125,Dune,1,visible,Sand,taxable,1,3,8.00,10.00,\"Books > Fiction, Books > SF\",,Author,\"Herbert, Frank\"\n\
         2,variable,W2,,Emma,1,visible,,taxable,1,,,,Books,,,\n\
         3,variation,W2-a,,Emma - Paperback,1,visible,,taxable,1,5,,7.00,,id:2,,\n\
         4,simple,W4,,Hidden,0,visible,,taxable,1,5,,7.00,,,,\n",
    );
    assert_eq!((read.plan.program, read.taken.len()), (Some(Program::WooCommerce), 3), "{:?}", reasons(&read));
    let dune = &read.taken[0];
    assert_eq!((dune.draft.price, dune.draft.list_price, dune.stock), (800, Some(1000), Some(3)));
    assert_eq!(
        (&dune.draft.authors[..], &dune.draft.subjects[..]),
        (&["Frank Herbert".to_owned()][..], &["Fiction".to_owned(), "SF".to_owned()][..])
    );
    assert_eq!(
        (read.taken[1].draft.price, read.taken[1].stock, read.taken[1].draft.title.as_str()),
        (700, Some(5), "Emma")
    );
    assert!(!read.taken[2].draft.for_sale);
}

#[test]
fn a_shop_with_names_of_its_own() {
    let file = "SKU,title,Author,Regular price,Stock quantity,isbn\nA1,Real Book,Ann Author,29.00,0,9780306406157\n";
    let read = csv(file);
    let one = &read.taken[0];
    assert_eq!((one.source_id.as_str(), one.draft.price, one.stock, one.draft.for_sale), ("A1", 2900, Some(0), true));
    // Columns that nobody can understand are passed over and named; nothing takes their place.
    let read = csv("key,title,Betrag,Vorrat,isbn\nA1,Real Book,29.00,7,9780306406157\n");
    assert!(!read.taken[0].draft.for_sale && read.taken[0].stock.is_none() && read.taken[0].draft.price == 0);
    assert_eq!(read.plan.ignored().collect::<Vec<_>>(), ["key", "Betrag", "Vorrat"]);
    // Until somebody names them.
    let options = Options { mapping: Mapping::parse("price=Betrag,stock=Vorrat").unwrap(), ..Options::default() };
    let file = "key,title,Betrag,Vorrat,isbn\nA1,Real Book,29.00,7,9780306406157\n";
    let read = try_read("a.csv", file.as_bytes(), &options, "USD").unwrap();
    assert_eq!((read.taken[0].draft.price, read.taken[0].stock), (2900, Some(7)));
    let missing = Options { mapping: Mapping::parse("price=Cost").unwrap(), ..Options::default() };
    assert!(matches!(
        try_read("a.csv", file.as_bytes(), &missing, "USD"),
        Err(ImportError::Column { field: "price", .. })
    ));
}

#[test]
fn excel_and_its_habits() {
    for text in [
        "\u{feff}source_id;title;price;stock\r\n1;Émile;12,99;1.000\r\n",
        "sep=;\r\nsource_id;title;price;stock\r\n1;Émile;12,99 €;1000\r\n",
        "source_id\ttitle\tprice\tstock\r1\tÉmile\t12,99\t1000\r",
        "source_id|title|price|stock\n1|Émile|EUR 12.99|1000.0\n",
        "source_id,title,price,stock,,\n1,Émile,\"12,99\",\"1,000\",,\n,,,,,\n",
    ] {
        let read = try_read("a.csv", text.as_bytes(), &Options::default(), "EUR").unwrap();
        assert!(read.rejected.is_empty(), "{text}: {:?}", reasons(&read));
        let one = &read.taken[0];
        assert_eq!((one.draft.title.as_str(), one.draft.price, one.stock), ("Émile", 1299, Some(1000)), "{text}");
    }
    for clothes in [
        "=\"9780306406157\"",
        "ISBN 978-0-306-40615-7",
        "9780306406157.0",
        "'9780306406157",
        "306406152",
        "0-306-40615-2",
    ] {
        let read = csv(format!("title,isbn,price\nA,{clothes},1\n"));
        assert_eq!(read.taken.first().map(isbn).as_deref(), Some("9780306406157"), "{clothes}: {:?}", reasons(&read));
    }
    let read = csv("title,isbn,price\nA,9.78E+12,1\nB,\"9,78031E+12\",1\n");
    for (_, reason) in reasons(&read) {
        assert!(reason.contains("spreadsheet") && reason.contains("as text"), "{reason}");
    }
    assert_eq!(read.rejected.len(), 2);
}

#[test]
fn letters_of_other_encodings() {
    let text = "source_id;title;price\n1;Café Müller;5\n2;Déjà vu;6\n";
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [text.as_bytes(), &latin, &big] {
        let read = csv(bytes);
        let titles: Vec<&str> = read.taken.iter().map(|entry| entry.draft.title.as_str()).collect();
        assert_eq!(titles, ["Café Müller", "Déjà vu"], "{}", read.plan.encoding);
    }
    let named = Options { encoding: Some("iso-8859-2".to_owned()), ..Options::default() };
    let polish = b"source_id,title\n1,\xb1\xea\n";
    assert_eq!(try_read("a.csv", polish, &named, "USD").unwrap().taken[0].draft.title, "ąę");
    let unknown = Options { encoding: Some("klingon".to_owned()), ..Options::default() };
    assert!(
        matches!(try_read("a.csv", polish, &unknown, "USD"), Err(ImportError::Format(why)) if why.contains("klingon"))
    );
}

#[test]
fn html_in_names() {
    let read = csv("source_id,title,authors\n1,Caf&eacute;,Ren&eacute; Thi&eacute;blemont\n2,B,A &amp; B; C\n");
    assert_eq!(
        (read.taken[0].draft.title.as_str(), &read.taken[0].draft.authors[..]),
        ("Café", &["René Thiéblemont".to_owned()][..])
    );
    assert_eq!(read.taken[1].draft.authors, ["A & B", "C"]);
}

#[test]
fn json_in_every_layout_and_with_numbers_as_texts() {
    let one = r#"{"isbn13": 9780306406157, "title": "A", "price": "12.99", "year": "1999", "authors": "Ann", "pages": "300 p.", "stock": "4"}"#;
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(one).unwrap()).unwrap();
    for (name, text) in [
        ("a.jsonl", one.to_owned()),
        ("a.json", format!("[{one}]")),
        ("a.json", pretty.clone()),
        ("a.json", format!("{{\"books\": [\n{pretty}\n]}}")),
        ("a", format!("\u{feff}[\r\n{pretty}\r\n]")),
    ] {
        let read = read_as(name, &text);
        assert!(read.rejected.is_empty(), "{text}: {:?}", reasons(&read));
        let one = &read.taken[0];
        assert_eq!(
            (one.draft.price, one.draft.year, one.draft.pages, one.stock),
            (1299, Some(1999), Some(300), Some(4)),
            "{text}"
        );
        assert_eq!((&one.draft.authors[..], isbn(one).as_str()), (&["Ann".to_owned()][..], "9780306406157"));
    }
    let read = read_as("a.json", "[\n{\"title\": \"A\", \"source_id\": 1},\n{\"title\": \"B\" \"x\"},\n7\n]");
    assert_eq!((read.taken.len(), read.rejected.len()), (1, 2));
    assert!(reasons(&read)[0].1.contains("(line 3, character"), "{:?}", reasons(&read));
}

#[test]
fn what_is_wrong_with_a_detail_never_costs_the_book() {
    let read = csv("source_id,title,pages,year,language,list_price,stock,rating_avg,price\n\
         1,A,0,soon,gibberish,1.00,many,9,5.00\n\
         2,B,300 p.,9999,\"English, French\",9.99,-1,4,5.00\n");
    assert!(read.rejected.is_empty());
    let (one, two) = (&read.taken[0], &read.taken[1]);
    assert_eq!((one.draft.pages, one.draft.year, one.draft.language.as_deref(), one.stock), (None, None, None, None));
    assert_eq!((two.draft.pages, two.draft.language.as_deref(), two.stock), (Some(300), Some("en"), Some(0)));
    let noted = notes(&read);
    for part in [
        "line 2, pages `0`",
        "line 2, year `soon`",
        "line 2, language `gibberish`",
        "line 2, list_price `1.00`",
        "line 2, stock `many`",
        "line 2, rating_avg `9`",
        "line 3, year `9999`",
    ] {
        assert!(noted.iter().any(|note| note.starts_with(part)), "{part} in {noted:?}");
    }
}

#[test]
fn a_reason_names_column_and_value_and_what_would_be_right() {
    for (row, reason) in [
        (",A,,1", "source_id: missing, and there is no isbn13 to make one of"),
        ("1,,,1", "title: missing"),
        ("1,A,9780441478126,1", "isbn13: `9780441478126` the check digit is wrong: expected 5"),
        ("1,A,,cheap", "price: `cheap` is no amount in USD; write it like 12.50"),
        ("1,A,,€5", "price: `€5` is no amount in USD; write it like 12.50"),
        ("1,A,,-1", "price: `-1` is no amount in USD; write it like 12.50"),
        ("1,A,,12.345678", "price: `12.345678` has more decimals than USD has; write it like 12.50"),
        ("1,A", "there are 2 fields instead of 4"),
    ] {
        let read = csv(format!("source_id,title,isbn13,price\n{row}\n"));
        assert_eq!(reasons(&read), [(2, reason.to_owned())], "{row}");
    }
    let yen = try_read("a.csv", b"source_id,title,price\n1,A,12.99\n2,B,1299\n", &Options::default(), "JPY").unwrap();
    assert_eq!((yen.taken[0].draft.price, yen.rejected.len()), (1299, 1));
    let other = csv("source_id,title,price,currency\n1,A,5,EUR\n2,B,5,usd\n");
    assert_eq!(reasons(&other), [(2, "currency: `EUR` must be USD, the shop's currency".to_owned())]);
}

#[test]
fn a_file_without_a_title_is_refused_with_its_columns() {
    let refused = try_read("a.csv", b"foo;bar\n1;2\n", &Options::default(), "USD").map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("`foo`, `bar`"), "{refused}");
    for (name, empty) in
        [("a.csv", ""), ("a.csv", "\u{feff}\n\n"), ("a.jsonl", ""), ("a.json", "[]"), ("a.csv", "title,price\n")]
    {
        let read = read_as(name, empty);
        assert_eq!((read.taken.len(), read.rejected.len()), (0, 0), "{empty:?}");
    }
}

#[test]
fn one_stray_quote_loses_one_book() {
    let mut lines = vec!["source_id,title,authors".to_owned()];
    lines.extend(
        (1..=500).map(|i| if i == 100 { "z100,\"Book 100,Ann".to_owned() } else { format!("z{i},Book {i},Ann") }),
    );
    let read = csv(lines.join("\n"));
    assert_eq!((read.taken.len(), read.rejected.len()), (499, 1));
    assert_eq!(reasons(&read), [(101, "a quotation mark opens value 2 and is not closed".to_owned())]);
}

proptest! {
    #[test]
    fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), name in "a\\.(csv|json|jsonl|txt)") {
        let _ = try_read(&name, &bytes, &Options::default(), "USD").map(|_| ());
    }

    #[test]
    fn every_record_is_taken_or_rejected(
        rows in proptest::collection::vec(("[a-z0-9]{1,6}", "\\PC{0,12}", "[-0-9.,e$]{0,8}", "\\PC{0,10}"), 0..12),
        delimiter in proptest::sample::select(vec![b',', b';', b'\t']),
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        writer.write_record(["source_id", "title", "price", "pages"]).unwrap();
        for (key, title, price, pages) in &rows {
            writer.write_record([key, title, price, pages]).unwrap();
        }
        let read = csv(writer.into_inner().unwrap());
        prop_assert_eq!(read.taken.len() + read.rejected.len(), rows.len());
        let json: Vec<_> = rows.iter().map(|(key, title, price, pages)| {
            serde_json::json!({"source_id": key, "title": title, "price": price, "pages": pages})
        }).collect();
        let read = read_as("a.json", serde_json::to_string(&json).unwrap());
        prop_assert_eq!(read.taken.len() + read.rejected.len(), rows.len());
    }
}
