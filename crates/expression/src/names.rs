//! What was meant by a name that does not exist.
//!
//! It must not know what names stand for. Entry point: [`nearest`].

/// Names longer than this are not compared: the distance takes quadratic time.
const MAX_NAME: usize = 64;

/// The candidate that differs least from a name, if it is near enough to be what was meant.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = 1 + name.len() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of characters to insert, to delete, to replace or to swap with their neighbour (optimal string
/// alignment distance).
fn distance(one: &str, other: &str) -> usize {
    if one.len() > MAX_NAME || other.len() > MAX_NAME {
        return usize::MAX;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = [Vec::new(), Vec::new(), (0..=other.len()).collect::<Vec<usize>>()];
    for (at, char) in one.iter().enumerate() {
        rows.rotate_left(1);
        let [before_last, last, row] = &mut rows;
        row.clear();
        row.push(at + 1);
        for (column, against) in other.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = cell(last, column) + usize::from(char != against);
            best = best.min(cell(last, column + 1) + 1).min(cell(row, column) + 1);
            let swapped = at > 0
                && column > 0
                && other.get(column - 1) == Some(char)
                && one.get(at - 1) == Some(against);
            if swapped {
                best = best.min(cell(before_last, column - 1) + 1);
            }
            row.push(best);
        }
    }
    rows[2].last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let names = ["method", "path", "headers", "host"];
        for (name, meant) in [
            ("methd", Some("method")),
            ("Method", Some("method")),
            ("ptah", Some("path")),
            ("header", Some("headers")),
            ("hots", Some("host")),
            ("body", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), meant, "{name}");
        }
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ca", "ac"), 1);
        assert_eq!(distance(&"a".repeat(65), "a"), usize::MAX);
    }
}
