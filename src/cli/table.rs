//! Text in columns.

use super::exit;

/// Between two columns.
pub const GAP: &str = "  ";

/// Where the text of a column stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At its left edge, as names do.
    Left,
    /// At its right edge, as numbers do.
    Right,
}

/// Rows of text whose columns are as wide as their widest cells. Every
/// character counts as one column of the terminal.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[Align]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Names with their values.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Table {
        let mut table = Table::new(&[Align::Left, Align::Right]);
        for (name, value) in pairs {
            table.push([name.to_owned(), value]);
        }
        table
    }

    /// Adds a row below the others. Cells that it lacks are empty.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> =
            cells.into_iter().map(|cell| exit::plain(&cell).into_owned()).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// The lines, without spaces at their ends and without a line break at the
    /// end of the last.
    pub fn to_text(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let start = text.len();
            for (column, (cell, align)) in row.iter().zip(&self.columns).enumerate() {
                if column > 0 {
                    text.push_str(GAP);
                }
                let width = widths[column];
                text.push_str(&match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                });
            }
            text.truncate(start + text[start..].trim_end().len());
        }
        text
    }
}

/// Columns of the terminal that `text` takes.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_values_right() {
        let table = Table::of_pairs([
            ("count", "1000".to_owned()),
            ("25 %", "-0.5".to_owned()),
            ("mean", "1.2345678901234567e-300".to_owned()),
            ("max", "inf".to_owned()),
        ]);
        let lines = [
            "count                     1000",
            "25 %                      -0.5",
            "mean   1.2345678901234567e-300",
            "max                        inf",
        ];
        assert_eq!(table.to_text(), lines.join("\n"));
    }

    #[test]
    fn no_line_ends_in_spaces_and_short_rows_have_empty_cells() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
        table.push(["axis".to_owned(), "é".to_owned(), "last".to_owned()]);
        table.push(["a".to_owned()]);
        table.push(["b".to_owned(), "22".to_owned(), String::new()]);
        assert_eq!(table.to_text(), "axis   é  last\na\nb     22");
        assert_eq!(Table::new(&[Align::Left]).to_text(), "");
    }
}
