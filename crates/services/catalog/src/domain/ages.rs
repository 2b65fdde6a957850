//! For which readers a book is, by the subjects that it stands under.

/// Subjects of books for some years of age, folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shelf {
    /// A book for them has one of these.
    pub(crate) any_of: &'static [&'static str],
    /// Of those, the ones that suit best.
    pub(crate) best: &'static [&'static str],
    /// A book for them has none of these.
    pub(crate) none_of: &'static [&'static str],
}

const GROWN: [&str; 8] =
    ["adult", "adult fiction", "new adult", "erotica", "horror", "young adult", "teen", "contemporary romance"];

/// Where books for somebody of this age stand, the younger of several deciding.
pub(crate) fn shelf(age: u8) -> Shelf {
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
        0..=5 => Shelf { any_of: &CHILDREN, best: &["picture books", "board books"], none_of: &MIDDLE },
        6..=8 => Shelf { any_of: &CHILDREN, best: &["chapter books", "picture books", "kids"], none_of: &GROWN },
        9..=12 => Shelf {
            any_of: &[
                "middle grade",
                "childrens",
                "children",
                "children's books",
                "juvenile",
                "juvenile fiction",
                "juvenile nonfiction",
                "chapter books",
            ],
            best: &["middle grade"],
            none_of: &["adult", "adult fiction", "new adult", "erotica"],
        },
        _ => Shelf {
            any_of: &[
                "young adult",
                "teen",
                "teen & young adult",
                "young adult fiction",
                "young adult fantasy",
                "young adult contemporary",
            ],
            best: &["teen"],
            none_of: &["adult", "adult fiction", "new adult", "erotica"],
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
            let shelf = shelf(age);
            assert!(shelf.any_of.contains(&has) && shelf.none_of.contains(&has_not), "{age}");
            assert!(
                shelf.any_of.iter().all(|subject| !shelf.none_of.contains(subject) || *subject == "chapter books"),
                "{age}"
            );
        }
    }
}
