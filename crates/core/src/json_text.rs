//! `JsonText`: one JSON value as it was written, shared and not copied.
//!
//! Results of tools and arguments of calls are mostly passed on: what they are part of (a message, a body) is kept whole
//! for as long as somebody holds a part of it. Invariant: the text is exactly one valid JSON value, because only a parser's
//! own `RawValue` or a serialiser's output becomes one. A small part does not keep a large whole: it is copied.
//! The members of an object are found once and go along.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What a text is part of.
pub type Whole = Arc<dyn AsRef<str> + Send + Sync>;

/// What a part may leave unused of its whole before it is copied out of it: so many bytes, or so many times its own.
const MAX_UNUSED: usize = 4096;
const MAX_TIMES: usize = 4;

/// One JSON value as text. Cheap to clone.
#[derive(Clone)]
pub struct JsonText {
    whole: Whole,
    range: Range<usize>,
    members: Option<Arc<[Member]>>,
}

/// Where a member of an object stands.
#[derive(Debug)]
struct Member {
    /// Only of a name that was written with escapes.
    name: Option<Box<str>>,
    // In the object's own text.
    key: Range<usize>,
    value: Range<usize>,
}

/// The members of an object, in their order.
pub struct Members<'a> {
    text: &'a str,
    all: Arc<[Member]>,
}

impl JsonText {
    /// What serialises to this text.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_string(value)?))
    }

    /// A text that is checked to be one JSON value; space around it is left out.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        let range = within(&text, serde_json::from_str::<&RawValue>(&text)?.get());
        Ok(Self { whole: Arc::new(text), range: range.unwrap_or_default(), members: None })
    }

    /// A value that was parsed out of `whole`.
    pub fn part(whole: &Whole, part: &RawValue) -> Self {
        Self::cut(whole, part.get())
    }

    /// As `part`, of an object whose members are going to be looked at.
    pub fn object(whole: &Whole, part: &RawValue) -> Self {
        let text = Self::cut(whole, part.get());
        Self { members: Some(find(text.get())), ..text }
    }

    /// `{}`
    pub fn empty() -> Self {
        Self { whole: Arc::new("{}"), range: 0..2, members: None }
    }

    fn new(text: String) -> Self {
        Self { range: 0..text.len(), whole: Arc::new(text), members: None }
    }

    // `part` is a JSON value.
    fn cut(whole: &Whole, part: &str) -> Self {
        let all: &str = (**whole).as_ref();
        match within(all, part)
            .filter(|_| all.len() - part.len() <= MAX_UNUSED.max(part.len().saturating_mul(MAX_TIMES)))
        {
            Some(range) => Self { whole: whole.clone(), range, members: None },
            None => Self::new(part.to_owned()),
        }
    }

    /// The text.
    pub fn get(&self) -> &str {
        let all: &str = (*self.whole).as_ref();
        all.get(self.range.clone()).unwrap_or_default()
    }

    /// Its members, none of anything but an object.
    pub fn members(&self) -> Members<'_> {
        let text = self.get();
        Members { text, all: self.members.clone().unwrap_or_else(|| find(text)) }
    }

    /// The text of a member's value; the first when several have the name.
    pub fn member(&self, name: &str) -> Option<&str> {
        let members = self.members();
        let member = members.all.iter().find(|member| members.name(member) == name)?;
        self.get().get(member.value.clone())
    }

    /// The value of a member that `members` gave, shared.
    pub fn share(&self, value: Value<'_>) -> Self {
        Self::cut(&self.whole, value.0)
    }
}

/// The text of a member's value.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> Members<'a> {
    fn name<'b>(&'b self, member: &'b Member) -> &'b str {
        member.name.as_deref().or_else(|| self.text.get(member.key.clone())).unwrap_or_default()
    }

    /// Names and the texts of values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        let text = self.text;
        let value = move |member: &Member| Value(text.get(member.value.clone()).unwrap_or_default());
        self.all.iter().map(move |member| (self.name(member), value(member)))
    }
}

/// Where `part` stands in `all`, when it is a part of it and not only the same.
pub fn within(all: &str, part: &str) -> Option<Range<usize>> {
    let from = (part.as_ptr() as usize).checked_sub(all.as_ptr() as usize)?;
    let range = from..from.checked_add(part.len())?;
    all.get(range.clone()).is_some().then_some(range)
}

// The text is valid, so that only what encloses and separates is looked at. Nothing where a name is no text (half a
// surrogate pair).
fn find(object: &str) -> Arc<[Member]> {
    let mut found = Vec::with_capacity(8);
    let mut at = 1;
    loop {
        match object.starts_with('{').then(|| member(object, at)) {
            None | Some(Ok(None)) => return found.into(),
            Some(Ok(Some(member))) => {
                at = member.value.end;
                found.push(member);
            }
            Some(Err(NotText)) => return Arc::default(),
        }
    }
}

struct NotText;

// The next member, after the last one or the object's beginning.
fn member(object: &str, at: usize) -> Result<Option<Member>, NotText> {
    let bytes = object.as_bytes();
    let quote = after(bytes, at, |b| is_space(b) || b == b',');
    if bytes.get(quote) != Some(&b'"') {
        return Ok(None);
    }
    let key = quote + 1..end_of_string(bytes, quote + 1);
    let from = after(bytes, key.end + 1, |b| is_space(b) || b == b':');
    let name = match object.get(key.clone()).is_some_and(|name| name.contains('\\')) {
        true => object.get(quote..=key.end).map(|name| serde_json::from_str(name).map_err(|_| NotText)),
        false => None,
    };
    Ok(Some(Member { name: name.transpose()?, key, value: from..end_of_value(bytes, from) }))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

// The first place from `at` on whose byte is none of these.
fn after(bytes: &[u8], at: usize, these: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| these(**byte)).count()
}

fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    loop {
        at = match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => end_of_string(bytes, at + 1) + 1,
            Some(b'{' | b'[') => {
                depth += 1;
                at + 1
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            Some(_) => {
                after(bytes, at, |b| !matches!(b, b'"' | b'{' | b'[' | b'}' | b']' | b',') && !is_space(b))
                    .max(at + 1)
            }
        };
        if depth == 0 {
            return at.min(bytes.len());
        }
    }
}

/// Index of the quote that ends the string whose text begins at `at`, or the length when there is none.
pub fn end_of_string(json: &[u8], mut at: usize) -> usize {
    loop {
        at = next_special(json, at);
        match json.get(at) {
            None => return json.len(),
            Some(b'"') => return at,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Where the next byte stands, at or after `at`, that a JSON string may not hold as it is: a quote, a backslash or a
/// control character. The length when there is none. Plain loops over a block, which the compiler turns into vector
/// instructions.
pub fn next_special(text: &[u8], mut at: usize) -> usize {
    const BLOCK: usize = 32;
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    while let Some(block) = text.get(at..at.saturating_add(BLOCK)) {
        if block.iter().fold(0, |found, byte| found | u8::from(special(*byte))) != 0 {
            break;
        }
        at += BLOCK;
    }
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|byte| special(*byte)).map_or(text.len(), |more| at + more)
}

impl From<Box<RawValue>> for JsonText {
    fn from(raw: Box<RawValue>) -> Self {
        let text: Box<str> = raw.into();
        Self { range: 0..text.len(), whole: Arc::new(text), members: None }
    }
}

impl AsRef<[u8]> for JsonText {
    fn as_ref(&self) -> &[u8] {
        self.get().as_bytes()
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.get()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde::de::{Deserializer, Error, MapAccess, Visitor};
    use serde_json::Value as Tree;
    use std::borrow::Cow;

    // As a parser finds them.
    #[derive(Default)]
    struct Found<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

    impl<'de> Deserialize<'de> for Found<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Members;
            impl<'de> Visitor<'de> for Members {
                type Value = Found<'de>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
                    let mut found = Vec::with_capacity(8);
                    while let Some(Name(name)) = map.next_key()? {
                        found.push((name, map.next_value()?));
                    }
                    Ok(Found(found))
                }
            }
            deserializer.deserialize_map(Members)
        }
    }

    // Borrowed unless it was written with escapes.
    struct Name<'a>(Cow<'a, str>);

    impl<'de> Deserialize<'de> for Name<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Text;
            impl<'de> Visitor<'de> for Text {
                type Value = Name<'de>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a member name")
                }
                fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                    Ok(Name(Cow::Borrowed(text)))
                }
                fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                    Ok(Name(Cow::Owned(text.to_owned())))
                }
            }
            deserializer.deserialize_str(Text)
        }
    }

    fn whole(text: impl Into<String>) -> Whole {
        Arc::new(text.into())
    }

    fn value<'a>(whole: &'a Whole, name: &str) -> &'a RawValue {
        let found: Found<'_> = serde_json::from_str((**whole).as_ref()).unwrap();
        found.0.into_iter().find_map(|(key, value)| (key == name).then_some(value)).unwrap()
    }

    #[test]
    fn a_part_is_the_same_bytes_and_a_small_part_keeps_no_large_whole() {
        let text = whole(r#"{"a":1,"result": {"x":[1, 2]} }"#);
        let part = JsonText::part(&text, value(&text, "result"));
        assert_eq!(part.get(), r#"{"x":[1, 2]}"#);
        assert!(Arc::ptr_eq(&part.whole, &text));
        let other = RawValue::from_string("[7]".to_owned()).unwrap();
        assert_eq!(JsonText::part(&text, &other).get(), "[7]", "of another text it is a copy");
        let large = whole(format!(r#"{{"junk":"{}","result":{{"x":1}}}}"#, "x".repeat(2 * MAX_UNUSED)));
        let part = JsonText::part(&large, value(&large, "result"));
        assert!(part.get() == r#"{"x":1}"# && !Arc::ptr_eq(&part.whole, &large));
        let junk = JsonText::part(&large, value(&large, "junk"));
        assert!(Arc::ptr_eq(&junk.whole, &large));
    }

    #[test]
    fn members_are_found_in_order_and_shared() {
        let text = JsonText::parse(" {\"a\": 1, \"b\\u0063\":\"x\",\"a\":2,\"e\":{}} ".to_owned()).unwrap();
        assert!(text.get().starts_with('{') && text.get().ends_with('}'));
        let names: Vec<(String, String)> =
            text.members().iter().map(|(k, v)| (k.to_owned(), v.get().to_owned())).collect();
        let expected = [("a", "1"), ("bc", "\"x\""), ("a", "2"), ("e", "{}")];
        assert_eq!(names, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!((text.member("a"), text.member("bc"), text.member("z")), (Some("1"), Some("\"x\""), None));
        let last = text.members().iter().last().map(|(_, value)| text.share(value)).unwrap();
        assert!(last.get() == "{}" && Arc::ptr_eq(&last.whole, &text.whole));
        for no_object in ["[1]", "7", "\"{\""] {
            assert_eq!(JsonText::parse(no_object.to_owned()).unwrap().members().iter().count(), 0);
        }
        assert!(JsonText::parse("{".to_owned()).is_err());
        assert!(JsonText::parse("1 2".to_owned()).is_err());
    }

    #[test]
    fn it_serialises_as_it_is() {
        let text = JsonText::from(RawValue::from_string("{\"a\": 1.50}".to_owned()).unwrap());
        assert_eq!(serde_json::to_string(&[&text]).unwrap(), "[{\"a\": 1.50}]");
        assert_eq!(JsonText::of(&serde_json::json!({"b": "\n"})).unwrap().get(), "{\"b\":\"\\n\"}");
    }

    fn tree() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let text = prop::string::string_regex(r#"([a-z{}\[\],: ]|\\\\|\\"|\\u00e9|é){0,40}"#).unwrap();
        let text = text.prop_map(|text| format!("\"{text}\"")).boxed();
        let leaf = prop_oneof![Just("null".to_owned()), Just("-1.5e3".to_owned()), text.clone()];
        let space = prop_oneof![Just(""), Just(" "), Just("\n\t")];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let list = (prop::collection::vec(inner.clone(), 0..4), space.clone());
            let pairs = (prop::collection::vec((text.clone(), inner), 0..4), space.clone());
            prop_oneof![
                list.prop_map(|(all, space)| format!("[{space}{}{space}]", all.join(&format!(",{space}")))),
                pairs.prop_map(|(all, space)| {
                    let all: Vec<_> =
                        all.iter().map(|(k, v)| format!("{k}{space}:{space}{v}{space}")).collect();
                    format!("{{{space}{}{space}}}", all.join(","))
                }),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_is_what_a_parser_finds(text in tree()) {
            let json = JsonText::parse(text.clone()).unwrap();
            let parsed: Found<'_> = serde_json::from_str(&text).unwrap_or_default();
            let parsed: Vec<_> = parsed.0.iter().map(|(key, value)| (&**key, value.get())).collect();
            let members = json.members();
            let found: Vec<_> = members.iter().map(|(key, value)| (key, value.get())).collect();
            proptest::prop_assert_eq!(found, parsed);
            proptest::prop_assert!(serde_json::from_str::<Tree>(json.get()).is_ok());
        }

        #[test]
        fn nothing_is_found_past_the_end(text in r#"\{([\[\]{}",:\\a ]|"a"){0,30}"#) {
            // Not valid: it cannot be, and is safe all the same.
            let _ = find(&text);
        }
    }
}
