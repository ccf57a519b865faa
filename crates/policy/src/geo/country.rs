//! Countries: the two letters of each (ISO 3166-1), and sets of them.
//!
//! It must not know where they come from. Entry points: [`Country`], [`Countries`].

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, Node, Shape};

/// Every code that ISO 3166-1 has assigned, and `XK`, which databases use for Kosovo.
const ASSIGNED: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// The code of a country: two upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads a code in any case, as a database has it; `None` for what are not two letters.
    pub(crate) fn of(text: &str) -> Option<Country> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Country([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// Its two letters.
    pub(crate) fn letters(&self) -> &[u8] {
        &self.0
    }

    fn is_assigned(self) -> bool {
        ASSIGNED.split(' ').any(|code| code.as_bytes() == self.0)
    }

    /// A number of its own, below 26².
    fn number(self) -> usize {
        let [a, b] = self.0.map(|letter| usize::from(letter.wrapping_sub(b'A')));
        a * 26 + b
    }
}

impl std::fmt::Display for Country {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(std::str::from_utf8(&self.0).unwrap_or(""))
    }
}

impl Decode for Country {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            diagnostics.push(node.wrong_type("the code of a country such as `DE`"));
            return None;
        };
        let country = Country::of(&scalar.text);
        if let Some(country) = country.filter(|country| country.is_assigned()) {
            return Some(country);
        }
        let help = match country.map(|country| country.0) {
            Some([b'U', b'K']) => "the United Kingdom is `GB`",
            Some([b'E', b'U']) => "name each country of the European Union",
            _ => "write the two letters of ISO 3166-1: `DE`, `FR`, `US`",
        };
        let message = format!("{} is not the code of a country", scalar.shown());
        diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(help));
        None
    }

    fn shape() -> Shape {
        Shape::Text { format: "code of a country", example: "DE" }
    }
}

/// A set of countries: one bit for each code.
#[derive(Debug, Default)]
pub(crate) struct Countries([u64; 11]);

impl Countries {
    pub(crate) fn insert(&mut self, country: Country) {
        if let Some(word) = self.0.get_mut(country.number() / 64) {
            *word |= 1 << (country.number() % 64);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 11]
    }

    pub(crate) fn contains(&self, country: Country) -> bool {
        self.0.get(country.number() / 64).is_some_and(|word| word >> (country.number() % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_a_member_of_its_own() {
        let all: Vec<Country> = ASSIGNED.split(' ').map(|code| Country::of(code).unwrap()).collect();
        assert_eq!(all.len(), 250);
        for one in &all {
            let mut set = Countries::default();
            set.insert(*one);
            assert_eq!(all.iter().filter(|other| set.contains(**other)).count(), 1, "{one}");
        }
        let mut set = Countries::default();
        all.iter().for_each(|one| set.insert(*one));
        assert!(!set.contains(Country(*b"ZZ")) && !set.contains(Country(*b"AA")));
    }

    #[test]
    fn only_two_letters_are_a_code() {
        assert_eq!(Country::of("de").unwrap().letters(), b"DE");
        for text in ["", "D", "DEU", "D1", "é", "D-", "--"] {
            assert_eq!(Country::of(text), None, "{text}");
        }
    }
}
