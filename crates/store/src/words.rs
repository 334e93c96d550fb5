//! Which text a search for words finds: the same in a query of the store and in live tail.

use crate::Filter;
use record::LogRecord;

/// Words to look for, prepared once for many texts. Case does not count: ASCII letters by a scan without copies, words
/// with other letters by Unicode lower case.
#[derive(Debug, Clone)]
pub struct Words(Vec<Word>);

#[derive(Debug, Clone)]
enum Word {
    Ascii(Vec<u8>),
    Lowercase(String),
}

impl Words {
    /// Prepares the words; empty ones are left out.
    pub fn new(words: &[String]) -> Words {
        let prepare = |word: &String| {
            if word.is_ascii() {
                Word::Ascii(word.to_ascii_lowercase().into_bytes())
            } else {
                Word::Lowercase(word.to_lowercase())
            }
        };
        Words(words.iter().filter(|word| !word.is_empty()).map(prepare).collect())
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each word occurs in the message or in the attributes' JSON text.
    pub fn all_in(&self, message: &str, attributes: Option<&str>) -> bool {
        self.0
            .iter()
            .all(|word| word.is_in(message) || attributes.is_some_and(|attributes| word.is_in(attributes)))
    }
}

impl Word {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Word::Ascii(word) => contains_ascii(text.as_bytes(), word),
            Word::Lowercase(word) => text.to_lowercase().contains(word),
        }
    }
}

/// Whether `text` has `word`, which is in lower case, in any case.
fn contains_ascii(text: &[u8], word: &[u8]) -> bool {
    let Some(last) = text.len().checked_sub(word.len()) else { return false };
    memchr::memchr2_iter(word[0], word[0].to_ascii_uppercase(), &text[..=last])
        .any(|at| text[at..at + word.len()].eq_ignore_ascii_case(word))
}

impl Filter {
    /// Whether the event is one that the filter means.
    pub fn matches(&self, record: &LogRecord, words: &Words) -> bool {
        self.organization == record.organization_id
            && (self.levels.is_empty() || self.levels.contains(&record.level))
            && self.service.as_ref().is_none_or(|service| *service == record.service)
            && self.from.is_none_or(|from| from <= record.timestamp)
            && self.to.is_none_or(|to| record.timestamp < to)
            && words.all_in(&record.message, record.attributes.as_deref().map(|json| json.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(word: &str, text: &str) -> bool {
        Words::new(&[word.to_owned()]).all_in(text, None)
    }

    #[test]
    fn case_does_not_count_and_every_word_must_occur() {
        assert!(
            found("PAID", "order paid")
                && found("straße", "in der STRASSE straße")
                && found("ÄRGER", "ärger")
        );
        assert!(!found("paid", "order pai"));
        assert!(found("", ""));
        let words = Words::new(&["order".into(), "eur".into()]);
        assert!(words.all_in("order paid", Some(r#"{"currency":"EUR"}"#)));
        assert!(!words.all_in("order paid", None));
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_way(word in "[a-cA-C%_]{1,3}", text in "[a-cA-C%_ é]{0,12}") {
            prop_assert_eq!(found(&word, &text), text.to_lowercase().contains(&word.to_lowercase()));
        }
    }
}
