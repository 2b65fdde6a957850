//! For which readers a book is, by the subjects that it stands under.

/// Subjects of books for some years of age, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shelf {
    /// A book for them has one of these.
    pub(crate) any_of: Vec<&'static str>,
    /// Of those, the ones that suit best.
    pub(crate) best: Vec<&'static str>,
    /// A book for them has none of these.
    pub(crate) none_of: Vec<&'static str>,
}

const GROWN: [&str; 8] =
    ["adult", "adult fiction", "new adult", "erotica", "horror", "young adult", "teen", "contemporary romance"];

/// Where books for somebody of these years stand, both ends included: what suits one of them, without what every one of
/// them is too young or too old for.
pub(crate) fn shelf(from: u8, to: u8) -> Shelf {
    let mut shelves = (from..=to.max(from)).map(shelf_of);
    let mut all = shelves.next().unwrap_or_default();
    for one in shelves {
        for (names, others) in [(&mut all.any_of, one.any_of), (&mut all.best, one.best)] {
            names.extend(others);
            names.sort_unstable();
            names.dedup();
        }
        all.none_of.retain(|name| one.none_of.contains(name));
    }
    all
}

fn shelf_of(age: u8) -> Shelf {
    const CHILDREN: [&str; 10] = [
        "childrens",
        "children",
        "children's books",
        "picture books",
        "juvenile",
        "juvenile fiction",
        "juvenile nonfiction",
        "kids",
        "chapter books",
        "board books",
    ];
    match age {
        0..=5 => {
            Shelf { any_of: CHILDREN.to_vec(), best: vec!["picture books", "board books"], none_of: MIDDLE.to_vec() }
        }
        6..=8 => Shelf {
            any_of: CHILDREN.to_vec(),
            best: vec!["chapter books", "picture books", "kids"],
            none_of: GROWN.to_vec(),
        },
        9..=12 => Shelf {
            any_of: vec![
                "middle grade",
                "childrens",
                "children",
                "children's books",
                "juvenile",
                "juvenile fiction",
                "juvenile nonfiction",
                "chapter books",
            ],
            best: vec!["middle grade"],
            none_of: vec!["adult", "adult fiction", "new adult", "erotica"],
        },
        _ => Shelf {
            any_of: vec![
                "young adult",
                "teen",
                "teen & young adult",
                "young adult fiction",
                "young adult fantasy",
                "young adult contemporary",
            ],
            best: vec!["teen"],
            none_of: vec!["adult", "adult fiction", "new adult", "erotica"],
        },
    }
}

const MIDDLE: [&str; 10] = [
    "adult",
    "adult fiction",
    "new adult",
    "erotica",
    "horror",
    "young adult",
    "teen",
    "contemporary romance",
    "middle grade",
    "chapter books",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_has_a_shelf_of_its_own() {
        for (age, has, has_not) in [
            (3, "picture books", "middle grade"),
            (8, "chapter books", "young adult"),
            (11, "middle grade", "adult"),
            (15, "young adult", "erotica"),
        ] {
            let shelf = shelf(age, age);
            assert!(shelf.any_of.contains(&has) && shelf.none_of.contains(&has_not), "{age}");
            assert!(
                shelf.any_of.iter().all(|subject| !shelf.none_of.contains(subject) || *subject == "chapter books"),
                "{age}"
            );
        }
    }

    #[test]
    fn books_for_several_ages_suit_one_of_them() {
        let kids = shelf(5, 12);
        for name in ["picture books", "chapter books", "middle grade"] {
            assert!(kids.any_of.contains(&name) && !kids.none_of.contains(&name), "{name}");
        }
        for name in ["adult", "erotica", "new adult"] {
            assert!(kids.none_of.contains(&name), "{name}");
        }
        assert!(shelf(12, 14).any_of.contains(&"teen"));
    }
}
