//! Reading a licence expression: `(MIT OR Apache-2.0) AND Unicode-3.0`, and the old `MIT/Apache-2.0`.
//!
//! Called by the licence rule. Not a full SPDX parser: what it cannot read is an error, never an agreement.

/// Whether the expression can be met with licences of the list alone.
pub fn allowed(expression: &str, list: &[&str]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = Words { words: spaced.split_whitespace().collect(), next: 0, list };
    let answer = words.either()?;
    match words.peek() {
        None => Ok(answer),
        Some(word) => Err(format!("`{word}` is not expected here")),
    }
}

struct Words<'a> {
    words: Vec<&'a str>,
    next: usize,
    list: &'a [&'a str],
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut answer = self.all()?;
        while self.take("OR") {
            answer |= self.all()?;
        }
        Ok(answer)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut answer = self.one()?;
        while self.take("AND") {
            answer &= self.one()?;
        }
        Ok(answer)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let answer = self.either()?;
            return if self.take(")") { Ok(answer) } else { Err("a `)` is missing".to_owned()) };
        }
        let word = self.peek().ok_or("a licence is missing at the end")?;
        if ["AND", "OR", "WITH", ")"].contains(&word) {
            return Err(format!("a licence is missing before `{word}`"));
        }
        self.next += 1;
        if self.take("WITH") {
            let exception = self.peek().ok_or("an exception is missing after WITH")?;
            self.next += 1;
            return Ok(self.list.contains(&format!("{word} WITH {exception}").as_str()));
        }
        Ok(self.list.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [&str; 3] = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];

    #[test]
    fn one_way_is_enough_for_or_and_all_are_needed_for_and() {
        for (expression, answer) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT/GPL-3.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND Apache-2.0", true),
            ("MIT OR GPL-3.0 AND LGPL-2.1", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
        ] {
            assert_eq!(allowed(expression, &LIST), Ok(answer), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for expression in ["", "MIT OR", "(MIT", "MIT MIT", "AND MIT", "MIT)"] {
            assert!(allowed(expression, &LIST).is_err(), "{expression}");
        }
    }
}
