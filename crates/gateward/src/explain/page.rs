//! A page of text: titles, and rows in columns.
//!
//! It knows nothing of what stands in them. Entry point: [`Page`].

use diagnostics::visible;

/// A cell that is longer does not push the columns behind it away.
const WIDEST: usize = 44;

const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// Text that grows downwards.
pub(crate) struct Page {
    text: String,
    colour: bool,
}

impl Page {
    /// Without anything. With `colour`, titles stand out.
    pub(crate) fn new(colour: bool) -> Page {
        Page { text: String::new(), colour }
    }

    /// Adds a line. Nothing in it can move a cursor or change a colour.
    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(visible(text).trim_end());
        self.text.push('\n');
    }

    /// Begins a section.
    pub(crate) fn title(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        if !self.colour {
            return self.line(text);
        }
        self.text.push_str(BOLD);
        self.text.push_str(visible(text).trim_end());
        self.text.push_str(PLAIN);
        self.text.push('\n');
    }

    /// Adds rows whose cells stand under each other.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            // The last cell of a row needs no room behind it.
            let cells = rows.iter().filter(|row| row.iter().skip(column + 1).any(|cell| !cell.is_empty()));
            let widths = cells.filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            widths.filter(|width| *width <= WIDEST).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                if *width > 0 || !cell.is_empty() {
                    line.push_str(&format!(" {cell:<width$} ", width = *width));
                }
            }
            self.line(&line);
        }
    }

    /// The whole text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// A row of cells.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(String::from($cell)),*] };
}

pub(crate) use row;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_under_each_other_and_long_ones_push_nothing_away() {
        let mut page = Page::new(false);
        page.title("One");
        page.table(&[row!["a", "bb", "c"], row!["aaa", "", ""], row!["a", "x".repeat(50), "c"]]);
        page.title("Two");
        page.line("\u{1b}[31mred  ");
        let long = "x".repeat(50);
        assert_eq!(page.into_text(), format!("One\n  a  bb  c\n  aaa\n  a  {long}  c\n\nTwo\n␛[31mred\n"));
    }
}
