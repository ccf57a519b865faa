//! "Did you mean": the candidate that a mistyped word was most likely meant to be.
//!
//! It knows only words. Entry point: [`closest`].

/// Longer words are not compared: the cost grows with the square, and nobody mistypes one by two letters.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be a slip of the hand.
///
/// Near enough: letters wrong, missing, added or swapped with their neighbour, at most one per three letters
/// of the word (at least one). Case, and `-` in place of `_`, count for nothing. Among equally near
/// candidates the first wins.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word)?;
    let bound = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = folded(candidate)?;
            let far = distance(&word, &folded);
            // Replacing every letter of a short word makes any other short word: that is no slip.
            (far <= bound && far < word.len().max(folded.len())).then_some((far, candidate))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> Option<Vec<char>> {
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    Some(word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect())
}

/// The Damerau–Levenshtein distance in its restricted form: each pair of neighbours is swapped at most once.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &to) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(from != to);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["listen", "services", "routes", "policies", "header_bytes", "to"];
        for (word, wanted) in [
            ("servces", Some("services")),
            ("service", Some("services")),
            ("route", Some("routes")),
            ("ruotes", Some("routes")),
            ("Listen", Some("listen")),
            ("header-bytes", Some("header_bytes")),
            ("ot", Some("to")),
            ("ab", None),
            ("x", None),
            ("", None),
            ("database", None),
        ] {
            assert_eq!(closest(word, keys), wanted, "{word}");
        }
        assert_eq!(closest(&"x".repeat(1 << 20), keys), None);
    }
}
