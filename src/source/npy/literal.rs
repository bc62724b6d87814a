//! The few Python literals that a `.npy` header is written in.
//!
//! A header is the text of one dict. NumPy reads it with `ast.literal_eval`;
//! this reads the part of that grammar which NumPy writes: dicts, tuples,
//! lists, strings, integers, `True`, `False` and `None`. Nesting is bounded, so
//! no header makes the parser recurse without end, and what is built is no
//! larger than a small multiple of the text.

/// How deep literals may lie inside one another. A structured dtype of NumPy
/// needs a few levels.
const DEPTH_MAX: usize = 32;

/// A Python literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer; past 128 bits it is the nearest integer that fits.
    Integer(i128),
    /// A string's bytes; an escape sequence keeps only its second character.
    Text(Vec<u8>),
    /// `(a, b)`; `(a)` is just `a`.
    Tuple(Vec<Literal>),
    /// `[a, b]`.
    List(Vec<Literal>),
    /// `{key: value}`, in the order written.
    Dict(Vec<(Literal, Literal)>),
}

/// Where a text stops being a literal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at} of its text")]
pub struct Malformed {
    /// What is wrong there.
    pub problem: &'static str,
    /// Position in the text, from 0.
    pub at: usize,
}

/// Reads a text that holds one literal and white space.
///
/// # Errors
/// The first place where the text is no literal of the known kinds.
pub fn parse(text: &[u8]) -> Result<Literal, Malformed> {
    let mut parser = Parser { text, at: 0 };
    let literal = parser.literal(0)?;
    match parser.peek() {
        None => Ok(literal),
        Some(_) => Err(parser.malformed("there is more than one literal")),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn literal(&mut self, depth: usize) -> Result<Literal, Malformed> {
        if depth > DEPTH_MAX {
            return Err(self.malformed("literals are nested too deep"));
        }
        match self.peek() {
            Some(b'{') => self.dict(depth),
            Some(b'[') => Ok(Literal::List(self.sequence(depth, b']')?.0)),
            Some(b'(') => {
                let (mut items, comma) = self.sequence(depth, b')')?;
                Ok(match items.pop() {
                    Some(only) if items.is_empty() && !comma => only,
                    last => Literal::Tuple(items.into_iter().chain(last).collect()),
                })
            }
            Some(quote @ (b'\'' | b'"')) => self.string(quote),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(_) => self.word(),
            None => Err(self.malformed("the text ends early")),
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, Malformed> {
        let mut items = Vec::new();
        self.at += 1;
        while !self.skip(b'}') {
            let key = self.literal(depth + 1)?;
            if !self.skip(b':') {
                return Err(self.malformed("a ':' is missing"));
            }
            items.push((key, self.literal(depth + 1)?));
            if !self.skip(b',') && self.peek() != Some(b'}') {
                return Err(self.malformed("a ',' or '}' is missing"));
            }
        }
        Ok(Literal::Dict(items))
    }

    /// The items up to `close`, and whether a comma follows the last one.
    fn sequence(&mut self, depth: usize, close: u8) -> Result<(Vec<Literal>, bool), Malformed> {
        let mut items = Vec::new();
        let mut comma = false;
        self.at += 1;
        while !self.skip(close) {
            items.push(self.literal(depth + 1)?);
            comma = self.skip(b',');
            if !comma && self.peek() != Some(close) {
                return Err(self.malformed("a ',' or a closing bracket is missing"));
            }
        }
        Ok((items, comma))
    }

    fn string(&mut self, quote: u8) -> Result<Literal, Malformed> {
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            let byte = self.next_byte()?;
            match byte {
                b'\\' => bytes.push(self.next_byte()?),
                _ if byte == quote => return Ok(Literal::Text(bytes)),
                _ => bytes.push(byte),
            }
        }
    }

    fn integer(&mut self) -> Result<Literal, Malformed> {
        let negative = self.skip(b'-');
        let start = self.at;
        let mut value = 0_i128;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            value = value.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
            self.at += 1;
        }
        if self.at == start {
            return Err(self.malformed("a digit is missing"));
        }
        // Python 2 wrote long integers with this suffix, and NumPy reads them.
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        Ok(Literal::Integer(if negative { -value } else { value }))
    }

    fn word(&mut self) -> Result<Literal, Malformed> {
        let known = [
            (&b"True"[..], Literal::Bool(true)),
            (b"False", Literal::Bool(false)),
            (b"None", Literal::None),
        ];
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let word = known.into_iter().find(|(name, _)| *name == &rest[..length]);
        let (_, literal) = word.ok_or_else(|| self.malformed("no literal starts"))?;
        self.at += length;
        Ok(literal)
    }

    fn next_byte(&mut self) -> Result<u8, Malformed> {
        let byte =
            *self.text.get(self.at).ok_or_else(|| self.malformed("a string does not end"))?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is no white space, which becomes the current one.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.get(self.at).copied()
    }

    /// Steps over `byte` if it is the next one.
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn malformed(&self, problem: &'static str) -> Malformed {
        Malformed { problem, at: self.at }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test whose steps fail has failed")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &str) -> Literal {
        Literal::Text(bytes.as_bytes().to_vec())
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2L,), }   \n";
        let shape = Literal::Tuple(vec![Literal::Integer(3), Literal::Integer(2)]);
        let expected = Literal::Dict(vec![
            (text("descr"), text("<f8")),
            (text("fortran_order"), Literal::Bool(false)),
            (text("shape"), shape),
        ]);
        assert_eq!(parse(header), Ok(expected));
    }

    #[test]
    fn a_bracket_around_one_value_is_no_tuple() {
        assert_eq!(parse(b"(3)"), Ok(Literal::Integer(3)));
        assert_eq!(parse(b"(3,)"), Ok(Literal::Tuple(vec![Literal::Integer(3)])));
        assert_eq!(parse(b"()"), Ok(Literal::Tuple(vec![])));
        assert_eq!(parse(b"[None]"), Ok(Literal::List(vec![Literal::None])));
    }

    #[test]
    fn long_integers_saturate() {
        let digits = "9".repeat(60);
        assert_eq!(parse(digits.as_bytes()), Ok(Literal::Integer(i128::MAX)));
        assert_eq!(parse(b"-7"), Ok(Literal::Integer(-7)));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        let deep = vec![b'('; 1 << 20];
        assert_eq!(parse(&deep).unwrap_err().problem, "literals are nested too deep");
        let allowed = ["[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)].concat();
        assert!(parse(allowed.as_bytes()).is_ok());
    }

    #[test]
    fn other_text_is_refused_where_it_goes_wrong() {
        for (text, at) in [
            (&b""[..], 0),
            (b"'abc", 4),
            (b"{'a' 1}", 5),
            (b"(1 2)", 3),
            (b"1 1", 2),
            (b"-", 1),
            (b"Truely", 0),
            (b"'a\\", 3),
            (b"{1: 2", 5),
        ] {
            assert_eq!(parse(text).unwrap_err().at, at, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_text_of_the_grammar_is_read_or_refused(text in "[\\[\\](){}:,'\"\\\\ 0-9LTrueNon-]{0,80}") {
            let _ = parse(text.as_bytes());
        }
    }
}
