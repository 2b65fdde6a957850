//! What a query may have meant that finds nothing of its own: another spelling, a name that sounds like it, a title that
//! it nearly says. And what is not even like it.

use bookworm_search::{Filter, Hit, Index, Response, SearchError};

use super::plan::{self, Wanted};
use crate::domain::{
    named::{is_named, misspelt_author, misspelt_title, misspelt_title_words, shares_a_word, shares_a_word_only},
    text::fold,
    understand::{Understood, understand_whole},
};

/// Spellings that are tried.
const SPELLINGS: usize = 6;
/// How many of the best are looked at for the title that was meant.
const BEST: usize = 10;

/// A query with another spelling.
#[derive(Debug)]
pub(crate) struct Better {
    pub(crate) text: String,
    /// It finds what was asked for; else it may be meant, for a book has every word of it.
    pub(crate) is_clear: bool,
}

/// How well another spelling does, the best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    /// It is no name, and a book has every word of it.
    EveryWord,
    /// It finds what was asked for.
    Found,
    /// A title says it.
    Titled,
    /// A title or an author is called so.
    Called,
}

/// The same query in another spelling.
pub(crate) fn respelt(understood: &Understood, text: &str) -> Understood {
    let (language, years, described) = (understood.language.clone(), understood.years, understood.described);
    let aside = understood.aside.clone();
    Understood { language, years, described, aside, ..understand_whole(text) }
}

/// The other spelling that does best, the likeliest of several: with words that nobody knows replaced by known ones
/// spelt like them; else, of a name, one of an author or of books that sounds like it.
pub(crate) fn better_spelling(
    index: &Index,
    understood: &Understood,
    filters: &[Filter],
) -> Result<Option<Better>, SearchError> {
    let Some(words) = plan::checked(understood) else { return Ok(None) };
    let mut best: Option<(Grade, String)> = None;
    for text in index.corrections(&words, SPELLINGS)? {
        if fold(&text) == fold(&understood.text) {
            continue;
        }
        let Some(grade) = grade(index, understood, &text, filters)? else { continue };
        if best.as_ref().is_none_or(|(other, _)| grade > *other) {
            best = Some((grade, text));
        }
        if grade == Grade::Called {
            break;
        }
    }
    if best.as_ref().is_none_or(|(grade, _)| *grade == Grade::EveryWord)
        && plan::is_name(understood)
        && let Some(text) = namesake(index, understood)?
    {
        best = Some((Grade::Called, text));
    }
    Ok(best.map(|(grade, text)| Better { text, is_clear: grade > Grade::EveryWord }))
}

fn grade(index: &Index, understood: &Understood, text: &str, filters: &[Filter]) -> Result<Option<Grade>, SearchError> {
    let corrected = respelt(understood, text);
    let wanted = Wanted { filters: filters.to_vec(), limit: 1, exact: true, ..Wanted::default() };
    let grade = if index.search(&plan::request(&corrected, wanted))?.sure.is_some_and(|sure| sure > 0) {
        if index.search(&plan::called(text))?.total > 0 {
            Grade::Called
        } else if index.search(&plan::titled(text))?.total > 0 {
            Grade::Titled
        } else {
            Grade::Found
        }
    } else if !plan::is_name(&corrected) && index.search(&plan::every_word(&corrected, filters.to_vec()))?.total > 0 {
        Grade::EveryWord
    } else {
        return Ok(None);
    };
    // What turns a telling word into one that tells nothing explains it away, unless a title says so. What stands alone with
    // its article is a title.
    let must_be_title = corrected.words.len() < understood.words.len() || plan::has_article(understood);
    Ok((!must_be_title || grade >= Grade::Titled).then_some(grade))
}

/// For each word of a query the one of a text that it sounds like.
type Sounds = fn(&[String], &str) -> Option<Vec<String>>;

/// The query with the words of an author's name, or of a title, that sound like it: "virginia wolf", "hary poter", "pet
/// cemetery". Each word may be right in itself.
fn namesake(index: &Index, understood: &Understood) -> Result<Option<String>, SearchError> {
    let (by_name, by_title): (Sounds, Sounds) = (misspelt_author, misspelt_title_words);
    let ways = match understood.words.len() {
        0 => return Ok(None),
        // A single word is taken for another only with its article, and only for a whole title.
        1 if plan::has_article(understood) => vec![("title", misspelt_title as Sounds)],
        1 => return Ok(None),
        _ => vec![("authors", by_name), ("title", by_title)],
    };
    for (field, sounds) in ways {
        let found = index.search(&plan::alike(understood, field))?;
        let names = found.hits.iter().flat_map(|hit| texts(hit, field));
        let mut named = names.filter_map(|name| sounds(&understood.words, &name));
        if let Some(meant) = named.find(|meant| *meant != understood.words) {
            let word = |word: &String| understood.words.iter().position(|other| other == word);
            let text = understood.all.iter().map(|typed| word(typed).map_or(typed, |at| &meant[at]).as_str());
            return Ok(Some(text.collect::<Vec<_>>().join(" ")));
        }
    }
    Ok(None)
}

/// Nothing has every word of a name: the best whose whole title is in it are meant all the same ("the grate gatsby").
/// They come first. Returns how many.
pub(crate) fn name_the_best(understood: &Understood, response: &mut Response) -> usize {
    let mut named = 0;
    for place in 0..response.hits.len().min(BEST) {
        let title = texts(&response.hits[place], "title").next().unwrap_or_default();
        let authors: Vec<String> = texts(&response.hits[place], "authors").collect();
        if is_named(&understood.words, &title, &authors) {
            response.hits[place].sure = true;
            response.hits[named..=place].rotate_right(1);
            named += 1;
        }
    }
    named
}

/// Leaves out what only shares a first name with the query, or one of its two words, or is only spelt like it. Rather
/// nothing than a namesake. Of two places ("Kyoto, Japan") either may be meant.
pub(crate) fn drop_namesakes(understood: &Understood, response: &mut Response) {
    if understood.described || understood.aside.is_some() {
        return;
    }
    let tolerated = !response.tolerated.is_empty();
    response.hits.retain(|hit| {
        let title = texts(hit, "title").next().unwrap_or_default();
        let text = texts(hit, "description").next().unwrap_or_default();
        let authors: Vec<String> = texts(hit, "authors").collect();
        let shares = || [&title, &text].into_iter().chain(&authors).any(|text| shares_a_word(&understood.words, text));
        !(shares_a_word_only(&understood.words, &title, &authors, &text)
            || (tolerated && hit.meaning.is_none() && !shares()))
    });
}

/// The texts of one field that came with a hit.
fn texts<'h>(hit: &'h Hit, field: &'h str) -> impl Iterator<Item = String> + 'h {
    let of_field = hit.highlights.iter().filter(move |text| text.field == field);
    of_field.map(|text| text.pieces.iter().map(|piece| piece.text.as_str()).collect())
}
