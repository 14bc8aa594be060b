//! A plain reader of JSON by the grammar of RFC 8259, as the model that the gateway's reader is held against.
//!
//! Used by `envelope`. Slow and recursive on purpose: the caller bounds the nesting before it calls. It shares no code
//! with what it judges, serde_json included.

/// A value as it stands in the text.
pub struct Value<'a> {
    pub text: &'a str,
    pub kind: Kind<'a>,
    /// Levels of objects and arrays, this one included.
    pub depth: usize,
}

pub enum Kind<'a> {
    Object(Vec<(&'a str, Value<'a>)>),
    Array(Vec<Value<'a>>),
    Plain,
}

/// The one value of a text; `None` when it is not JSON.
pub fn read(text: &str) -> Option<Value<'_>> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// What a string literal, quotes included, stands for; `None` when half of a surrogate pair is missing.
pub fn unquote(literal: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut chars = literal.strip_prefix('"')?.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        let unit = match c {
            '\\' => match chars.next()? {
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + u16::try_from(chars.next()?.to_digit(16)?).ok()?;
                    }
                    code
                }
                'b' => 8,
                'f' => 12,
                'n' => 10,
                'r' => 13,
                't' => 9,
                other => other as u16,
            },
            plain => {
                units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
                continue;
            }
        };
        units.push(unit);
    }
    String::from_utf16(&units).ok()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        self.space();
        let from = self.at;
        let (kind, depth) = match self.peek()? {
            b'{' => self.object()?,
            b'[' => self.array()?,
            b'"' => self.string().map(|_| (Kind::Plain, 0))?,
            b'-' | b'0'..=b'9' => self.number().map(|()| (Kind::Plain, 0))?,
            _ => {
                let word =
                    ["true", "false", "null"].into_iter().find(|w| self.text[self.at..].starts_with(w))?;
                self.at += word.len();
                (Kind::Plain, 0)
            }
        };
        Some(Value { text: &self.text[from..self.at], kind, depth })
    }

    fn object(&mut self) -> Option<(Kind<'a>, usize)> {
        self.at += 1;
        let (mut members, mut depth) = (Vec::new(), 0);
        self.space();
        if self.eat(b'}') {
            return Some((Kind::Object(members), 1));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            if !self.eat(b':') {
                return None;
            }
            let value = self.value()?;
            depth = depth.max(value.depth);
            members.push((key, value));
            self.space();
            if self.eat(b'}') {
                return Some((Kind::Object(members), depth + 1));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn array(&mut self) -> Option<(Kind<'a>, usize)> {
        self.at += 1;
        let (mut items, mut depth) = (Vec::new(), 0);
        self.space();
        if self.eat(b']') {
            return Some((Kind::Array(items), 1));
        }
        loop {
            let value = self.value()?;
            depth = depth.max(value.depth);
            items.push(value);
            self.space();
            if self.eat(b']') {
                return Some((Kind::Array(items), depth + 1));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let from = self.at;
        if !self.eat(b'"') {
            return None;
        }
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(&self.text[from..self.at]),
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'u' => {
                            for _ in 0..4 {
                                self.peek().filter(u8::is_ascii_hexdigit)?;
                                self.at += 1;
                            }
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        _ => return None,
                    }
                }
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Some(())
    }
}
