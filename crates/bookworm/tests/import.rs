//! `bookworm import` as people and scripts see it: what it prints, writes and exits with.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{path::Path, process::Command};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn import(folder: &Path, file: &str, content: &str, arguments: &[&str]) -> Ran {
    let path = folder.join(file);
    std::fs::write(&path, content).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bookworm"))
        .arg("import")
        .arg(&path)
        .args(arguments)
        .arg("--data-dir")
        .arg(folder.join("data"))
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = "SKU;title;Author;Betrag;Shelf\nA1;Real Book;Ann Author;29,00;7\n";
    let ran = import(folder.path(), "shop.csv", file, &["--dry-run"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for line in [
        "CSV, separated by semicolons; UTF-8\n",
        "  title         <- title   e.g. Real Book\n",
        "  authors       <- Author   e.g. Ann Author\n",
        "Columns passed over: Betrag, Shelf\n",
        "No column is understood as the price: new books are not for sale.",
        "1 would be added, 0 changed, 0 left as they are, 0 rejected; nothing was written\n",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert_eq!(ran.err, "", "it speaks for itself");
    assert!(!folder.path().join("data").exists());
    let ran = import(folder.path(), "shop.csv", file, &["--dry-run", "--map", "price=Betrag,stock=Shelf"]);
    assert!(ran.out.contains("  price         <- Betrag   e.g. 29,00\n"), "{}", ran.out);
    let ran = import(folder.path(), "shop.csv", file, &["--map", "preis=Betrag"]);
    assert!(ran.code == 1 && ran.err.contains("--map: `preis=Betrag` must be FIELD=COLUMN"), "{}", ran.err);
}

#[test]
fn the_exit_code_says_whether_records_were_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let good = "source_id,title,price,stock\n1,One,5,1\n2,Two,6,1\n";
    let ran = import(folder.path(), "good.csv", good, &[]);
    assert!(ran.code == 0 && ran.out.starts_with("2 added, 0 changed, 0 unchanged, 0 rejected in "), "{}", ran.out);
    assert_eq!(ran.err, "");
    assert!(!folder.path().join("good.csv.report.csv").exists());

    let some = "source_id,title,price,stock,pages\n1,One,5,1,soon\n3,Three,cheap,1,\n";
    let ran = import(folder.path(), "some.csv", some, &[]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    for line in [
        "rejected: line 3: price: `cheap` is no amount in USD; write it like 12.50\n",
        "adjusted: line 2, pages `soon`: is not understood; write it like 300; left out\n",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let report = std::fs::read_to_string(folder.path().join("some.csv.report.csv")).unwrap();
    assert!(report.contains("2,adjusted,pages,soon,") && report.contains("3,rejected,price,cheap,"), "{report}");
    let rejects = std::fs::read_to_string(folder.path().join("some.csv.rejects.jsonl")).unwrap();
    assert!(rejects.contains("\"text\":\"3,Three,cheap,1,\""), "{rejects}");

    for (name, content) in [
        ("all.csv", "source_id,title\n,A\n"),
        ("commas.csv", "source_id,title\n,\n"),
        ("none.json", "[]"),
        ("empty.csv", ""),
    ] {
        let ran = import(folder.path(), name, content, &[]);
        assert_eq!(ran.code, 3, "{name}: {}{}", ran.out, ran.err);
    }
    let ran = import(folder.path(), "onix.xml", "<?xml version=\"1.0\"?><ONIXMessage/>", &[]);
    assert!(ran.code == 1 && ran.err.contains("ONIX") && ran.err.contains("convert it to CSV"), "{}", ran.err);
    let ran = import(folder.path(), "untitled.csv", "colour,price\nred,1\n", &[]);
    assert!(ran.code == 1 && ran.err.contains("`colour`, `price`"), "{}", ran.err);
}
