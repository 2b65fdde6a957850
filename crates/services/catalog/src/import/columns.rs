//! Which column of a file says what: by the names that people and programs give to columns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::text::fold;

/// What a file can say of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The key of the book in its file.
    SourceId,
    /// ISBN-10 or ISBN-13.
    Isbn13,
    /// The title.
    Title,
    /// Its authors.
    Authors,
    /// Further authors, in a column of their own.
    MoreAuthors,
    /// What it is about.
    Subjects,
    /// Who published it.
    Publisher,
    /// When it was published.
    Year,
    /// In which language it is.
    Language,
    /// How many pages it has.
    Pages,
    /// To which series it belongs.
    Series,
    /// Which volume of the series it is.
    SeriesPosition,
    /// What it is about, in sentences.
    Description,
    /// What it costs while it is reduced.
    SalePrice,
    /// What it costs.
    Price,
    /// What it cost before.
    ListPrice,
    /// In which currency it is priced.
    Currency,
    /// How readers rate it.
    RatingAvg,
    /// How many rated it.
    RatingCount,
    /// Where they rated it.
    RatingSource,
    /// Copies in the house.
    Stock,
    /// Whether it is sold: `draft`, `0`.
    ForSale,
}

impl Field {
    /// Every field, in the order of the documentation.
    pub const ALL: [Self; 22] = [
        Self::SourceId,
        Self::Isbn13,
        Self::Title,
        Self::Authors,
        Self::MoreAuthors,
        Self::Subjects,
        Self::Publisher,
        Self::Year,
        Self::Language,
        Self::Pages,
        Self::Series,
        Self::SeriesPosition,
        Self::Description,
        Self::SalePrice,
        Self::Price,
        Self::ListPrice,
        Self::Currency,
        Self::RatingAvg,
        Self::RatingCount,
        Self::RatingSource,
        Self::Stock,
        Self::ForSale,
    ];

    /// Its name in files and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SourceId => "source_id",
            Self::Isbn13 => "isbn13",
            Self::Title => "title",
            Self::Authors => "authors",
            Self::MoreAuthors => "more_authors",
            Self::Subjects => "subjects",
            Self::Publisher => "publisher",
            Self::Year => "year",
            Self::Language => "language",
            Self::Pages => "pages",
            Self::Series => "series",
            Self::SeriesPosition => "series_position",
            Self::Description => "description",
            Self::SalePrice => "sale_price",
            Self::Price => "price",
            Self::ListPrice => "list_price",
            Self::Currency => "currency",
            Self::RatingAvg => "rating_avg",
            Self::RatingCount => "rating_count",
            Self::RatingSource => "rating_source",
            Self::Stock => "stock",
            Self::ForSale => "for_sale",
        }
    }

    /// The field of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let key = key(name);
        Self::ALL.into_iter().find(|field| self::key(field.name()) == key)
    }

    /// Names of columns that say this, those that count first before the others. Only letters and digits are compared,
    /// without case and diacritics. English, then German, French, Spanish, Italian, Portuguese, Dutch.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::SourceId => &[
                "sourceid",
                "sku",
                "bookid",
                "productid",
                "itemid",
                "externalid",
                "recordid",
                "articlenumber",
                "reference",
                "artikelnummer",
                "artikelnr",
                "id",
            ],
            Self::Isbn13 => {
                &["isbn13", "isbn", "isbnean", "ean", "ean13", "gtin", "gtin13", "isbn10", "isbnuid", "barcode"]
            }
            Self::Title => &[
                "title",
                "booktitle",
                "producttitle",
                "titel",
                "buchtitel",
                "titre",
                "titulo",
                "titolo",
                "name",
                "bookname",
                "productname",
                "itemname",
            ],
            Self::Authors => &[
                "authors",
                "author",
                "authornames",
                "authorname",
                "primaryauthor",
                "writer",
                "writers",
                "autor",
                "autoren",
                "verfasser",
                "auteur",
                "auteurs",
                "autores",
                "autore",
                "autori",
            ],
            Self::MoreAuthors => {
                &["moreauthors", "additionalauthors", "secondaryauthor", "secondaryauthors", "coauthors"]
            }
            Self::Subjects => &[
                "subjects",
                "subject",
                "categories",
                "category",
                "genres",
                "genre",
                "tags",
                "keywords",
                "topics",
                "shelves",
                "bookshelves",
                "kategorie",
                "kategorien",
                "thema",
                "themen",
                "sujets",
                "sujet",
                "categoria",
                "categorias",
                "categorie",
                "genero",
                "genere",
                "trefwoorden",
            ],
            Self::Publisher => &[
                "publisher",
                "publishers",
                "publishername",
                "imprint",
                "verlag",
                "editeur",
                "editorial",
                "editora",
                "editore",
                "uitgever",
                "uitgeverij",
            ],
            Self::Year => &[
                "year",
                "originalpublicationyear",
                "firstpublished",
                "yearpublished",
                "publicationyear",
                "publishedyear",
                "yearofpublication",
                "pubyear",
                "copyrightyear",
                "publicationdate",
                "publisheddate",
                "publishdate",
                "datepublished",
                "dateofpublication",
                "pubdate",
                "releasedate",
                "jahr",
                "erscheinungsjahr",
                "erscheinungsdatum",
                "annee",
                "anneedepublication",
                "datedeparution",
                "anno",
                "ano",
                "jaar",
            ],
            Self::Language => &[
                "language",
                "languages",
                "languagecode",
                "lang",
                "booklanguage",
                "sprache",
                "langue",
                "idioma",
                "lingua",
                "taal",
            ],
            Self::Pages => &[
                "pages",
                "pagecount",
                "numberofpages",
                "numpages",
                "numberpages",
                "nopages",
                "seiten",
                "seitenzahl",
                "seitenanzahl",
                "nombredepages",
                "nbpages",
                "paginas",
                "numerodepaginas",
                "pagine",
                "numeropagine",
            ],
            Self::Series => {
                &["series", "seriesname", "seriestitle", "bookseries", "reihe", "buchreihe", "collana", "saga"]
            }
            Self::SeriesPosition => {
                &["seriesposition", "seriespos", "seriesindex", "seriesnumber", "volumenumber", "bandnummer"]
            }
            Self::Description => &[
                "description",
                "longdescription",
                "bodyhtml",
                "synopsis",
                "summary",
                "blurb",
                "annotation",
                "shortdescription",
                "beschreibung",
                "klappentext",
                "descripcion",
                "descrizione",
                "descricao",
                "omschrijving",
                "beschrijving",
            ],
            Self::SalePrice => &["saleprice", "specialprice", "discountedprice", "aktionspreis", "angebotspreis"],
            Self::Price => &[
                "price",
                "regularprice",
                "sellingprice",
                "unitprice",
                "ourprice",
                "retailprice",
                "variantprice",
                "bookprice",
                "preis",
                "verkaufspreis",
                "ladenpreis",
                "bruttopreis",
                "prix",
                "prixttc",
                "prixdevente",
                "precio",
                "precioventa",
                "prezzo",
                "preco",
                "prijs",
                "verkoopprijs",
            ],
            Self::ListPrice => &[
                "listprice",
                "compareatprice",
                "variantcompareatprice",
                "rrp",
                "msrp",
                "recommendedretailprice",
                "oldprice",
                "pricebefore",
                "coverprice",
                "uvp",
            ],
            Self::Currency => {
                &["currency", "currencycode", "pricecurrency", "wahrung", "waehrung", "devise", "moneda", "valuta"]
            }
            Self::RatingAvg => &["ratingavg", "averagerating", "avgrating", "ratingaverage"],
            Self::RatingCount => &["ratingcount", "ratingscount", "numberofratings", "numratings"],
            Self::RatingSource => &["ratingsource"],
            Self::Stock => &[
                "stock",
                "stockquantity",
                "quantity",
                "qty",
                "inventoryquantity",
                "inventoryqty",
                "variantinventoryqty",
                "inventory",
                "onhand",
                "stocklevel",
                "stockonhand",
                "quantityonhand",
                "availablequantity",
                "quantityavailable",
                "copies",
                "instockquantity",
                "bestand",
                "lagerbestand",
                "menge",
                "stueckzahl",
                "stuckzahl",
                "quantite",
                "cantidad",
                "existencias",
                "giacenza",
                "quantita",
                "quantidade",
                "estoque",
                "voorraad",
                "aantal",
            ],
            Self::ForSale => &["forsale"],
        }
    }
}

/// A name without anything but letters and digits, in lower case.
pub(super) fn key(name: &str) -> String {
    fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The program that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// <https://www.goodreads.com/review/import>
    Goodreads,
    /// <https://app.thestorygraph.com>
    StoryGraph,
    /// <https://www.librarything.com/export.php>
    LibraryThing,
    /// Products of a Shopify shop.
    Shopify,
    /// Products of a WooCommerce shop.
    WooCommerce,
}

impl Program {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodreads => "Goodreads",
            Self::StoryGraph => "StoryGraph",
            Self::LibraryThing => "LibraryThing",
            Self::Shopify => "Shopify",
            Self::WooCommerce => "WooCommerce",
        }
    }

    /// By columns that no other file has together.
    fn recognise(keys: &BTreeSet<String>) -> Option<Self> {
        let has = |names: &[&str]| names.iter().all(|name| keys.contains(*name));
        if has(&["bookid", "exclusiveshelf"]) || has(&["authorlf", "myrating"]) {
            Some(Self::Goodreads)
        } else if has(&["isbnuid", "title"]) {
            Some(Self::StoryGraph)
        } else if has(&["primaryauthor", "bookid"]) || has(&["primaryauthor", "booksid"]) {
            Some(Self::LibraryThing)
        } else if has(&["handle", "title", "bodyhtml"])
            || has(&["handle", "title", "variantprice"])
            || has(&["urlhandle", "title"])
        {
            Some(Self::Shopify)
        } else if has(&["name", "regularprice", "taxstatus"]) || has(&["name", "regularprice", "visibilityincatalog"]) {
            Some(Self::WooCommerce)
        } else {
            None
        }
    }

    /// What its columns say. What is not named here is the program's own business: how its owner liked a book, where it
    /// stands in the shelf.
    const fn columns(self) -> &'static [(&'static str, Field)] {
        match self {
            Self::Goodreads => &[
                ("bookid", Field::SourceId),
                ("title", Field::Title),
                ("author", Field::Authors),
                ("additionalauthors", Field::MoreAuthors),
                ("isbn13", Field::Isbn13),
                ("isbn", Field::Isbn13),
                ("publisher", Field::Publisher),
                ("numberofpages", Field::Pages),
                ("originalpublicationyear", Field::Year),
                ("yearpublished", Field::Year),
                ("bookshelves", Field::Subjects),
            ],
            Self::StoryGraph => &[
                ("isbnuid", Field::Isbn13),
                ("title", Field::Title),
                ("authors", Field::Authors),
                ("tags", Field::Subjects),
            ],
            Self::LibraryThing => &[
                ("bookid", Field::SourceId),
                ("booksid", Field::SourceId),
                ("title", Field::Title),
                ("primaryauthor", Field::Authors),
                ("secondaryauthor", Field::MoreAuthors),
                ("isbn", Field::Isbn13),
                ("isbns", Field::Isbn13),
                ("originalisbn", Field::Isbn13),
                ("publication", Field::Publisher),
                ("date", Field::Year),
                ("languages", Field::Language),
                ("language", Field::Language),
                ("pagecount", Field::Pages),
                ("pages", Field::Pages),
                ("summary", Field::Description),
                ("series", Field::Series),
                ("subjects", Field::Subjects),
                ("genre", Field::Subjects),
                ("tags", Field::Subjects),
            ],
            Self::Shopify => &[
                ("handle", Field::SourceId),
                ("urlhandle", Field::SourceId),
                ("title", Field::Title),
                ("bodyhtml", Field::Description),
                ("description", Field::Description),
                ("vendor", Field::Publisher),
                ("tags", Field::Subjects),
                ("variantprice", Field::Price),
                ("price", Field::Price),
                ("variantcompareatprice", Field::ListPrice),
                ("compareatprice", Field::ListPrice),
                ("variantinventoryqty", Field::Stock),
                ("inventoryquantity", Field::Stock),
                ("variantbarcode", Field::Isbn13),
                ("barcode", Field::Isbn13),
                ("status", Field::ForSale),
                ("published", Field::ForSale),
            ],
            Self::WooCommerce => &[
                ("sku", Field::SourceId),
                ("id", Field::SourceId),
                ("gtinupceanorisbn", Field::Isbn13),
                ("name", Field::Title),
                ("description", Field::Description),
                ("shortdescription", Field::Description),
                ("saleprice", Field::SalePrice),
                ("regularprice", Field::Price),
                ("stock", Field::Stock),
                ("categories", Field::Subjects),
                ("published", Field::ForSale),
                // Attributes are pairs of columns; those named Author, Publisher ... are read by name.
            ],
        }
    }
}

/// Which column says what, as the user named it: field to column. An empty column switches the field off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mapping(pub BTreeMap<String, String>);

impl Mapping {
    /// Reads `title=Name,price="Regular price"`. A comma within a column's name needs no quotes as long as what follows
    /// it does not begin with a field's name and `=`.
    ///
    /// # Errors
    /// A message that names the part that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        let mut last: Option<&'static str> = None;
        for part in text.split(',') {
            let pair = part.split_once('=').and_then(|(field, column)| Some((Field::parse(field)?, column)));
            match (pair, last) {
                (Some((field, column)), _) => {
                    map.insert(field.name().to_owned(), column.to_owned());
                    last = Some(field.name());
                }
                (None, Some(field)) if !is_assignment(part) => {
                    if let Some(column) = map.get_mut(field) {
                        column.push(',');
                        column.push_str(part);
                    }
                }
                (None, _) if part.trim().is_empty() => {}
                (None, _) => {
                    let fields: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
                    return Err(format!(
                        "`{}` must be FIELD=COLUMN, where FIELD is one of {}",
                        part.trim(),
                        fields.join(", ")
                    ));
                }
            }
        }
        for column in map.values_mut() {
            let trimmed = column.trim();
            let unquoted = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            *column = unquoted.unwrap_or(trimmed).to_owned();
        }
        Ok(Self(map))
    }

    /// Checks the fields' names.
    ///
    /// # Errors
    /// The name that is no field.
    pub fn check(&self) -> Result<(), String> {
        match self.0.keys().find(|name| Field::parse(name).is_none()) {
            Some(name) => Err(format!("`{name}` is no field")),
            None => Ok(()),
        }
    }
}

/// Whether a part looks as if it named a field: `titel=Name`.
fn is_assignment(part: &str) -> bool {
    part.split_once('=').is_some_and(|(field, _)| {
        let field = field.trim();
        !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// A column and what it was understood as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnUse {
    /// As the file names it.
    pub name: String,
    /// What it says of a book; `None` when it is passed over.
    pub field: Option<Field>,
    /// A value of the file, as an example.
    pub example: Option<String>,
}

/// The most columns that are told apart in JSON, where every object may have others.
const MOST: usize = 500;

/// The columns of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    targets: Vec<Option<Field>>,
    examples: Vec<Option<String>>,
    /// Columns by their names, for JSON.
    places: HashMap<String, usize>,
    pub(super) program: Option<Program>,
    mapping: BTreeMap<Field, String>,
}

impl Columns {
    /// Columns that are not known yet: those of JSON.
    pub(super) fn open(program: Option<Program>, mapping: &Mapping) -> Self {
        let mapping = mapping.0.iter().filter_map(|(field, column)| Some((Field::parse(field)?, column.clone())));
        Self { program, mapping: mapping.collect(), ..Self::default() }
    }

    /// The columns of a header.
    pub(super) fn of(names: &[String], mapping: &Mapping) -> Self {
        let keys = names.iter().map(|name| key(name)).collect();
        let mut columns = Self::open(Program::recognise(&keys), mapping);
        names.iter().for_each(|name| {
            columns.push(name);
        });
        columns
    }

    /// The program that writes objects with these members.
    pub(super) fn recognise<'a>(names: impl Iterator<Item = &'a str>) -> Option<Program> {
        Program::recognise(&names.map(key).collect())
    }

    fn push(&mut self, name: &str) -> usize {
        let place = self.names.len();
        self.names.push(name.to_owned());
        self.targets.push(self.target(name));
        self.examples.push(None);
        self.places.entry(name.to_owned()).or_insert(place);
        place
    }

    /// The place of a column of JSON; `None` when there are too many.
    pub(super) fn place(&mut self, name: &str) -> Option<usize> {
        match self.places.get(name) {
            Some(place) => Some(*place),
            None if self.names.len() < MOST => Some(self.push(name)),
            None => None,
        }
    }

    fn target(&self, name: &str) -> Option<Field> {
        let same = |column: &str| {
            column.trim().eq_ignore_ascii_case(name.trim()) || key(column) == key(name) && !key(name).is_empty()
        };
        if let Some((field, _)) = self.mapping.iter().find(|(_, column)| same(column)) {
            return Some(*field);
        }
        let key = key(name);
        let field = match self.program {
            Some(program) => program.columns().iter().find(|(known, _)| *known == key).map(|(_, field)| *field),
            None => Field::ALL.into_iter().find(|field| field.aliases().contains(&key.as_str())),
        };
        // A field that the user named is taken from that column alone.
        field.filter(|field| !self.mapping.contains_key(field))
    }

    /// What this column says.
    #[cfg(test)]
    pub(super) fn field(&self, place: usize) -> Option<Field> {
        self.targets.get(place).copied().flatten()
    }

    /// The columns that say this, those that count first before the others.
    pub(super) fn of_field(&self, field: Field) -> Vec<usize> {
        let mut places: Vec<usize> =
            (0..self.targets.len()).filter(|place| self.targets[*place] == Some(field)).collect();
        let rank = |place: &usize| {
            let key = key(&self.names[*place]);
            match self.program {
                Some(program) => program.columns().iter().position(|(known, _)| *known == key),
                None => field.aliases().iter().position(|alias| *alias == key),
            }
        };
        places.sort_by_key(|place| rank(place).unwrap_or(0));
        places
    }

    /// What a column of this name says in a file of no known program.
    pub(super) fn generic(name: &str) -> Option<Field> {
        let key = key(name);
        Field::ALL.into_iter().find(|field| field.aliases().contains(&key.as_str()))
    }

    /// Pairs of columns for an attribute's name and its value: `Attribute 1 name`, `Attribute 1 value(s)`.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.names.iter().enumerate().filter_map(|(place, name)| {
            let number = key(name).strip_prefix("attribute")?.strip_suffix("name")?.to_owned();
            let values = self.names.iter().position(|other| key(other) == format!("attribute{number}values"))?;
            Some((place, values))
        })
    }

    /// The column of this key.
    pub(super) fn by_key(&self, wanted: &str) -> Option<usize> {
        self.names.iter().position(|name| key(name) == wanted)
    }

    /// Whether any column says this.
    pub(super) fn has(&self, field: Field) -> bool {
        self.targets.contains(&Some(field))
    }

    /// The user named a column that the file does not have.
    pub(super) fn missing(&self) -> Option<(Field, &str)> {
        let named = |field: Field| self.targets.contains(&Some(field));
        self.mapping
            .iter()
            .find(|(field, column)| !column.is_empty() && !named(**field))
            .map(|(field, column)| (*field, column.as_str()))
    }

    /// How many columns are understood.
    pub(super) fn understood(&self) -> usize {
        self.targets.iter().flatten().count()
    }

    /// Takes a value as an example of its column.
    pub(super) fn show(&mut self, place: usize, value: &str) {
        if let Some(example) = self.examples.get_mut(place)
            && example.is_none()
            && !value.trim().is_empty()
        {
            *example = Some(value.trim().chars().take(60).collect());
        }
    }

    /// What each was understood as.
    pub(super) fn uses(&self) -> Vec<ColumnUse> {
        let columns = self.names.iter().zip(&self.targets).zip(&self.examples);
        columns
            .map(|((name, field), example)| ColumnUse { name: name.clone(), field: *field, example: example.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &str, mapping: &str) -> Vec<Option<&'static str>> {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        let columns = Columns::of(&names, &Mapping::parse(mapping).unwrap());
        (0..names.len()).map(|place| columns.field(place).map(Field::name)).collect()
    }

    #[test]
    fn columns_are_known_by_their_usual_names() {
        assert_eq!(
            columns("SKU,title,Author,Regular price,Stock quantity,isbn,Colour", ""),
            [Some("source_id"), Some("title"), Some("authors"), Some("price"), Some("stock"), Some("isbn13"), None]
        );
        assert_eq!(
            columns("Titel,Autor,Preis,Bestand,ISBN-13,Verlag,Seiten,Sprache,Währung", ""),
            ["title", "authors", "price", "stock", "isbn13", "publisher", "pages", "language", "currency"].map(Some)
        );
        assert_eq!(
            columns("SOURCE_ID,list price, Précio ", ""),
            [Some("source_id"), Some("list_price"), Some("price")]
        );
        for field in Field::ALL {
            assert_eq!(columns(field.name(), ""), [Some(field.name())]);
            assert_eq!(Field::parse(field.name()), Some(field));
        }
        // No name means two things.
        let mut seen = BTreeMap::new();
        for field in Field::ALL {
            for alias in field.aliases() {
                assert_eq!(key(alias), *alias);
                assert_eq!(seen.insert(*alias, field), None, "{alias}");
            }
        }
    }

    #[test]
    fn what_the_user_names_wins() {
        let map = "title=Name,price=\"Regular price\"";
        assert_eq!(columns("Name,title,price,Regular price", map), [Some("title"), None, None, Some("price")]);
        assert_eq!(columns("title,price", "price="), [Some("title"), None]);
        let mapping = Mapping::parse("isbn13=GTIN, UPC, EAN, or ISBN, title = x").unwrap();
        assert_eq!(mapping.0["isbn13"], "GTIN, UPC, EAN, or ISBN");
        assert_eq!(mapping.0["title"], "x");
        for bad in ["titel=Name", "Name", "title=a,nonsense=b"] {
            assert!(Mapping::parse(bad).unwrap_err().contains("must be FIELD=COLUMN"), "{bad}");
        }
        let names = vec!["a".to_owned()];
        let columns = Columns::of(&names, &Mapping::parse("title=b").unwrap());
        assert_eq!(columns.missing(), Some((Field::Title, "b")));
    }

    #[test]
    fn programs_are_known_by_their_columns() {
        for (header, program) in [
            ("Book Id,Title,Author,Author l-f,ISBN,ISBN13,My Rating,Exclusive Shelf", Some(Program::Goodreads)),
            ("Title,Authors,Contributors,ISBN/UID,Format,Read Status", Some(Program::StoryGraph)),
            ("Book Id,Title,Sort Character,Primary Author,ISBN", Some(Program::LibraryThing)),
            ("Handle,Title,Body (HTML),Vendor,Variant Price", Some(Program::Shopify)),
            ("Title,URL handle,Description,Price", Some(Program::Shopify)),
            ("ID,Type,SKU,Name,Published,Visibility in catalog,Tax status,Regular price", Some(Program::WooCommerce)),
            ("title,price,id", None),
        ] {
            let names: Vec<String> = header.split(',').map(str::to_owned).collect();
            assert_eq!(Columns::of(&names, &Mapping::default()).program, program, "{header}");
        }
    }
}
