use std::time::Duration;

use regex_lite::Regex;

use super::{Aggregate, Binary, Expr, Matcher, Over, Pattern, Selector};

type Result<T> = std::result::Result<T, String>;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Number(f64),
    Duration(Duration),
    Text(String),
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 20] =
    ["==", "!=", "<=", ">=", "=~", "!~", "<", ">", "=", "+", "-", "*", "/", "(", ")", "{", "}", "[", "]", ","];

fn tokens(mut rest: &str) -> Result<Vec<Token>> {
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(all) };
        let end = |rest: &str, part: fn(char) -> bool| rest.find(|letter| !part(letter)).unwrap_or(rest.len());
        if first.is_ascii_alphabetic() || first == '_' || first == ':' {
            let word = &rest[..end(rest, |letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':')];
            all.push(Token::Word(word.to_owned()));
            rest = &rest[word.len()..];
        } else if first.is_ascii_digit() {
            let number = &rest[..end(rest, |letter| letter.is_ascii_alphanumeric() || letter == '.')];
            all.push(match duration(number) {
                Some(duration) => Token::Duration(duration),
                None => Token::Number(number.parse().map_err(|_| format!("`{number}` is no number"))?),
            });
            rest = &rest[number.len()..];
        } else if first == '"' || first == '\'' {
            let (text, after) = quoted(&rest[1..], first)?;
            all.push(Token::Text(text));
            rest = after;
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign.ok_or_else(|| format!("`{first}` is not understood"))?;
            all.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
    }
}

fn quoted(rest: &str, quote: char) -> Result<(String, &str)> {
    let (mut text, mut letters) = (String::new(), rest.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => text.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, other)) => other,
                None => break,
            }),
            letter if letter == quote => return Ok((text, &rest[at + 1..])),
            letter => text.push(letter),
        }
    }
    Err("a text has no end".to_owned())
}

/// `1h30m`
pub(crate) fn duration(mut text: &str) -> Option<Duration> {
    let mut total = 0;
    while !text.is_empty() {
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, rest) = text.split_at(digits);
        let unit = &rest[..rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len())];
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total += number.parse::<u64>().ok()?.checked_mul(millis)?;
        text = &rest[unit.len()..];
    }
    Some(Duration::from_millis(total))
}

pub(super) fn parse(text: &str) -> Result<Expr> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let expr = parser.binary(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(format!("{token:?} is not expected")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// Binary operators by how tightly they bind, loosest first.
const LEVELS: [&[(&str, Binary)]; 5] = [
    &[("or", Binary::Or)],
    &[("and", Binary::And), ("unless", Binary::Unless)],
    &[
        ("==", Binary::Eq),
        ("!=", Binary::Ne),
        ("<=", Binary::Le),
        (">=", Binary::Ge),
        ("<", Binary::Lt),
        (">", Binary::Gt),
    ],
    &[("+", Binary::Add), ("-", Binary::Sub)],
    &[("*", Binary::Mul), ("/", Binary::Div)],
];

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token> {
        let token = self.peek().cloned().ok_or_else(|| "it ends too soon".to_owned())?;
        self.at += 1;
        Ok(token)
    }

    /// Whether this comes next; then it is taken.
    fn takes(&mut self, what: &str) -> bool {
        let is = match self.peek() {
            Some(Token::Sign(sign)) => *sign == what,
            Some(Token::Word(word)) => word == what,
            _ => false,
        };
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, what: &str) -> Result<()> {
        match self.takes(what) {
            true => Ok(()),
            false => Err(format!("`{what}` is expected")),
        }
    }

    fn binary(&mut self, level: usize) -> Result<Expr> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some((_, what)) = operators.iter().find(|(sign, _)| self.takes(sign)) {
            if ["on", "ignoring", "bool"].into_iter().any(|word| self.takes(word)) {
                return Err("`on`, `ignoring` and `bool` are not understood".to_owned());
            }
            let right = self.binary(level + 1)?;
            left = Expr::Binary { what: *what, left: Box::new(left), right: Box::new(right) };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        if self.takes("-") {
            return Ok(Expr::Negative(Box::new(self.unary()?)));
        }
        if self.takes("(") {
            let inner = self.binary(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.next()? {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Word(word) => self.named(word),
            other => Err(format!("{other:?} is not expected")),
        }
    }

    /// A function, an aggregation, or a selector.
    fn named(&mut self, word: String) -> Result<Expr> {
        let aggregate = match word.as_str() {
            "sum" => Some(Aggregate::Sum),
            "min" => Some(Aggregate::Min),
            "max" => Some(Aggregate::Max),
            "avg" => Some(Aggregate::Avg),
            "count" => Some(Aggregate::Count),
            _ => None,
        };
        if let Some(how) = aggregate {
            let mut by = self.by()?;
            self.expect("(")?;
            let of = Box::new(self.binary(0)?);
            self.expect(")")?;
            if by.is_none() {
                by = self.by()?;
            }
            return Ok(Expr::Aggregate { how, by: by.unwrap_or_default(), of });
        }
        let over = match word.as_str() {
            "rate" => Some(Over::Rate),
            "increase" => Some(Over::Increase),
            "changes" => Some(Over::Changes),
            _ => None,
        };
        if let Some(what) = over {
            self.expect("(")?;
            let Token::Word(name) = self.next()? else { return Err(format!("{word} is of a series")) };
            let selector = self.selector(name)?;
            let range = self.range()?.ok_or_else(|| format!("{word} needs a range"))?;
            let offset = self.offset()?;
            self.expect(")")?;
            return Ok(Expr::Over { what, selector, range, offset });
        }
        if matches!(self.peek(), Some(Token::Sign("("))) {
            return self.function(&word);
        }
        let selector = self.selector(word)?;
        if self.range()?.is_some() {
            return Err("a range stands in rate, increase or changes".to_owned());
        }
        Ok(Expr::Select { selector, offset: self.offset()? })
    }

    fn function(&mut self, word: &str) -> Result<Expr> {
        self.expect("(")?;
        let first = Box::new(self.binary(0)?);
        self.expect(",")?;
        let second = self.binary(0)?;
        self.expect(")")?;
        match (word, second) {
            ("histogram_quantile", of) => Ok(Expr::Quantile(first, Box::new(of))),
            ("clamp_min", Expr::Number(least)) => Ok(Expr::AtLeast(first, least)),
            _ => Err(format!("`{word}` is not understood")),
        }
    }

    fn by(&mut self) -> Result<Option<Vec<String>>> {
        if self.takes("without") {
            return Err("`without` is not understood".to_owned());
        }
        if !self.takes("by") {
            return Ok(None);
        }
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            let Token::Word(label) = self.next()? else { return Err("`by` names labels".to_owned()) };
            labels.push(label);
            self.takes(",");
        }
        Ok(Some(labels))
    }

    fn selector(&mut self, name: String) -> Result<Selector> {
        let mut matchers = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                let Token::Word(label) = self.next()? else { return Err("a label is expected".to_owned()) };
                let Token::Sign(sign) = self.next()? else { return Err(format!("{label} is not compared")) };
                let Token::Text(text) = self.next()? else { return Err(format!("{label} is compared with no text")) };
                let value = match sign {
                    "=" | "!=" => Pattern::Text(text),
                    "=~" | "!~" => {
                        let whole = Regex::new(&format!("^(?:{text})$"));
                        Pattern::Regex(whole.map_err(|_| format!("`{text}` is no pattern"))?)
                    }
                    other => return Err(format!("labels are not compared with `{other}`")),
                };
                matchers.push(Matcher { label, wants: matches!(sign, "=" | "=~"), value });
                self.takes(",");
            }
        }
        Ok(Selector { name, matchers })
    }

    fn range(&mut self) -> Result<Option<Duration>> {
        if !self.takes("[") {
            return Ok(None);
        }
        let Token::Duration(range) = self.next()? else { return Err("a range is a time".to_owned()) };
        self.expect("]")?;
        Ok(Some(range))
    }

    fn offset(&mut self) -> Result<Duration> {
        if !self.takes("offset") {
            return Ok(Duration::ZERO);
        }
        match self.next()? {
            Token::Duration(offset) => Ok(offset),
            _ => Err("an offset is a time".to_owned()),
        }
    }
}
