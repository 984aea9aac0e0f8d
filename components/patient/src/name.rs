//! Names, folded so that they can be compared: without case, punctuation and diacritics.
//!
//! Nothing is assumed about a name but that its parts stand between blanks or punctuation: not how many there are, nor
//! which is the family's. An apostrophe does not part a name (O'Brien is `obrien`), a hyphen does (Anne-Marie is `anne
//! marie`). Both sides of a comparison are folded in the same way, so folding too much finds more, and never less.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest key that is made of a name, in characters: an index has to hold it.
const MOST_CHARACTERS: usize = 200;

/// The parts of a name as they follow each other. At least one, unless the text was blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedName(Vec<String>);

impl FoldedName {
    pub fn of(text: &str) -> Self {
        let mut folded = String::with_capacity(text.len());
        let lower = text.nfkd().filter(|character| !is_diacritic(*character)).flat_map(char::to_lowercase);
        // A capital may become a small letter with a mark (İ), so marks are taken off once more.
        for character in lower.filter(|character| !is_diacritic(*character)).take(MOST_CHARACTERS) {
            match spelled_out(character) {
                Some(letters) => folded.push_str(letters),
                None if is_apostrophe(character) => {}
                None if character.is_alphanumeric() || is_combining_mark(character) => folded.push(character),
                None => folded.push(' '),
            }
        }
        let mut parts: Vec<String> = folded.split_ascii_whitespace().map(str::to_owned).collect();
        // A name that is nothing but signs is a name, too.
        let signs: String = text.split_whitespace().flat_map(str::chars).filter(|sign| !sign.is_control()).collect();
        if parts.is_empty() && !signs.is_empty() {
            parts.push(signs.chars().take(MOST_CHARACTERS).collect());
        }
        Self(parts)
    }

    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// What lists are sorted by.
    pub fn sort_key(&self) -> String {
        self.0.join(" ")
    }

    /// What makes two names the same, whatever the order of their parts.
    pub fn identity(&self) -> String {
        let mut parts = self.0.clone();
        parts.sort_unstable();
        parts.join(" ")
    }

    /// Different parts, for the index of parts.
    pub fn distinct_parts(&self) -> Vec<String> {
        let mut parts = self.0.clone();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

/// Accents of European scripts, vowel points of Hebrew and Arabic. The marks of other scripts are letters of theirs.
fn is_diacritic(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        | '\u{64b}'..='\u{65f}' | '\u{670}')
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '`' | '\u{b4}' | '\u{2018}' | '\u{2019}' | '\u{2bb}' | '\u{2bc}' | '\u{200d}')
}

/// Letters that Unicode does not take apart.
fn spelled_out(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        _ => return None,
    })
}

/// Within one letter of each other (one more, one less, another, or two that changed places), in names long enough for
/// that to mean something.
pub fn is_one_letter_off(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.len() < 5 || long.len() - short.len() > 1 || short == long {
        return false;
    }
    let same_start = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let short = short.get(same_start..).unwrap_or_default();
    let long = long.get(same_start..).unwrap_or_default();
    match (short, long) {
        ([_, short_rest @ ..], [_, long_rest @ ..]) if short.len() == long.len() => {
            let replaced = short_rest == long_rest;
            let swapped = matches!((short, long), ([a, b, s @ ..], [c, d, l @ ..]) if a == d && b == c && s == l);
            replaced || swapped
        }
        (short, [_, long_rest @ ..]) => short == long_rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        FoldedName::of(text).sort_key()
    }

    #[test]
    fn folds_case_punctuation_and_diacritics() {
        for (text, expected) in [
            ("José", "jose"),
            ("JOSÉ", "jose"),
            ("Jose\u{301}", "jose"),
            ("  John   Doe ", "john doe"),
            ("O'Brien", "obrien"),
            ("O’Brien", "obrien"),
            ("Anne-Marie", "anne marie"),
            ("Doe, John", "doe john"),
            ("Dr. J. Smith", "dr j smith"),
            ("Müller-Lüdenscheidt", "muller ludenscheidt"),
            ("Weiß", "weiss"),
            ("WEISS", "weiss"),
            ("Łukasz Ørsted", "lukasz orsted"),
            ("Ægir Þór Sigurðsson", "aegir thor sigurdsson"),
            ("İbrahim Işık", "ibrahim isik"),
            ("Nguyễn Thị Đào", "nguyen thi dao"),
            ("Ελένη Παπαδοπούλου", "ελενη παπαδοπουλου"),
            ("Ёлкина Анна", "елкина анна"),
            ("山田 太郎", "山田 太郎"),
            ("ﬁona", "fiona"),
            ("Ｊｏｈｎ", "john"),
            ("مُحَمَّد", "محمد"),
        ] {
            assert_eq!(key(text), expected, "{text}");
        }
    }

    #[test]
    fn letters_of_other_scripts_stay_letters() {
        assert_eq!(FoldedName::of("प्रिया शर्मा").parts().len(), 2);
        assert_eq!(FoldedName::of("กานดา").parts().len(), 1);
        assert_eq!(FoldedName::of("김민준").parts().len(), 1);
    }

    #[test]
    fn short_and_strange_names_are_names() {
        for name in ["X", "王", "1", "-", "!!!", "Ng"] {
            assert_eq!(FoldedName::of(name).parts().len(), 1, "{name}");
        }
        assert!(FoldedName::of("  ").parts().is_empty());
        assert!(FoldedName::of("\0").parts().is_empty());
    }

    #[test]
    fn keys_stay_short_enough_for_an_index() {
        assert!(key(&"\u{fdfa}".repeat(100)).chars().count() <= 2 * MOST_CHARACTERS);
        assert!(key(&"ß".repeat(300)).chars().count() <= 2 * MOST_CHARACTERS);
    }

    #[test]
    fn the_order_of_parts_does_not_make_another_person() {
        assert_eq!(FoldedName::of("Doe, John").identity(), FoldedName::of("John Doe").identity());
        assert_ne!(FoldedName::of("John Doe").identity(), FoldedName::of("Jon Doe").identity());
        assert_eq!(FoldedName::of("Anna Anna").distinct_parts(), ["anna"]);
    }

    #[test]
    fn sees_one_wrong_letter_and_not_two() {
        for (one, other) in [
            ("john doe", "jon doe"),
            ("jon doe", "john doe"),
            ("maria", "mario"),
            ("anders", "andres"),
            ("meier", "meyer"),
            ("smith", "smithe"),
            ("xsmith", "smith"),
        ] {
            assert!(is_one_letter_off(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("john", "jon"),
            ("ann", "anna"),
            ("smith", "smith"),
            ("smith", "smythe"),
            ("maria", "moria rossi"),
            ("abcdef", "badcfe"),
            ("abcde", "edcba"),
            ("", ""),
        ] {
            assert!(!is_one_letter_off(one, other), "{one} {other}");
        }
    }
}
