//! A histogram as lines of a terminal.

use std::io;

use super::table::{Align, GAP, Table, columns};

/// Columns where nothing says how many there are.
const COLUMNS_DEFAULT: usize = 80;
/// Columns that the longest bar has at least, however narrow the terminal.
const BAR_COLUMNS_MIN: usize = 10;
/// One to eight eighths of a column.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// How many elements lie in which bin, and how many in none.
#[derive(Clone, Debug)]
pub struct Bars<'a> {
    /// The edges as text, one more than there are bins.
    pub edges: &'a [String],
    /// Elements of each bin.
    pub counts: &'a [u64],
    /// Elements below the first edge.
    pub below: u64,
    /// Elements above the last edge.
    pub above: u64,
    /// Elements that are NaN.
    pub nan: u64,
}

/// Of what bars are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Block characters, which end at an eighth of a column.
    Blocks,
    /// Number signs.
    Ascii,
}

impl Bars<'_> {
    /// One line for each bin: `[lo, hi)`, a bar, the count; the last bin holds
    /// its upper edge. What lies in no bin has a line of its own if there is
    /// any, without a bar. The longest bar makes its line `width` columns long,
    /// if that leaves it room.
    pub fn to_text(&self, width: usize, ink: Ink) -> String {
        let outside = |name: &str, count: u64| (count > 0).then(|| (name.to_owned(), false, count));
        let bins = self.intervals().into_iter().zip(self.counts);
        let rows: Vec<(String, bool, u64)> = outside("below", self.below)
            .into_iter()
            .chain(bins.map(|(interval, count)| (interval, true, *count)))
            .chain(outside("above", self.above))
            .chain(outside("NaN", self.nan))
            .collect();

        let name_columns = rows.iter().map(|(name, ..)| columns(name)).max().unwrap_or(0);
        let count_columns = rows.iter().map(|(.., count)| count.to_string().len()).max();
        let taken = name_columns + count_columns.unwrap_or(0) + 2 * GAP.len();
        let bar_columns = width.saturating_sub(taken).max(BAR_COLUMNS_MIN);
        let most = self.counts.iter().copied().max().unwrap_or(0);
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Right]);
        for (name, is_bin, count) in rows {
            let bar = if is_bin { bar(count, most, bar_columns, ink) } else { String::new() };
            table.push([name, bar, count.to_string()]);
        }
        table.to_text()
    }

    /// The bins by their edges, lower edges below each other and upper ones
    /// too.
    fn intervals(&self) -> Vec<String> {
        let bins = self.edges.len().saturating_sub(1);
        let widest = |edges: &[String]| edges.iter().map(|edge| columns(edge)).max().unwrap_or(0);
        let low_columns = widest(&self.edges[..bins]);
        let high_columns = widest(&self.edges[self.edges.len() - bins..]);
        let interval = |(index, edges): (usize, &[String])| {
            let end = if index + 1 == bins { ']' } else { ')' };
            format!("[{:>low_columns$}, {:>high_columns$}{end}", edges[0], edges[1])
        };
        self.edges.windows(2).enumerate().map(interval).collect()
    }
}

/// A bar of `columns` columns for the largest count, and in proportion for
/// others, rounded to what the ink can show. No count but 0 is invisible.
fn bar(count: u64, most: u64, columns: usize, ink: Ink) -> String {
    let steps_per_column = match ink {
        Ink::Blocks => EIGHTHS.len(),
        Ink::Ascii => 1,
    };
    let all_steps = (columns * steps_per_column) as u128;
    let (count, most) = (u128::from(count), u128::from(most.max(1)));
    let steps = ((2 * count * all_steps + most) / (2 * most)).max(u128::from(count > 0)) as usize;
    match ink {
        Ink::Ascii => "#".repeat(steps),
        Ink::Blocks => {
            let mut bar = String::from(EIGHTHS[7]).repeat(steps / 8);
            bar.extend((steps % 8).checked_sub(1).map(|index| EIGHTHS[index]));
            bar
        }
    }
}

/// Columns of the terminal that standard output is, or as many as lines of text
/// usually have.
pub fn terminal_columns() -> usize {
    terminal_size::terminal_size_of(io::stdout())
        .map_or(COLUMNS_DEFAULT, |(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(edges: &[&str], counts: &[u64], outside: [u64; 3], width: usize, ink: Ink) -> String {
        let edges: Vec<String> = edges.iter().map(|edge| (*edge).to_owned()).collect();
        let [below, above, nan] = outside;
        Bars { edges: &edges, counts, below, above, nan }.to_text(width, ink)
    }

    #[test]
    fn a_histogram_is_drawn() {
        let edges = ["-1.5", "0", "1.25", "100"];
        let lines = [
            "[-1.5,    0)  █████████▍             4",
            "[   0, 1.25)  █████████████████████  9",
            "[1.25,  100]                         0",
        ];
        assert_eq!(text(&edges, &[4, 9, 0], [0; 3], 38, Ink::Blocks), lines.join("\n"));
        let lines = [
            "below                             1234",
            "[-1.5,    0)  #########              5",
            "[   0, 1.25)  ##################    10",
            "[1.25,  100]  ##                     1",
            "above                                2",
            "NaN                                  3",
        ];
        assert_eq!(text(&edges, &[5, 10, 1], [1234, 2, 3], 38, Ink::Ascii), lines.join("\n"));
    }

    #[test]
    fn bars_are_in_proportion_up_to_the_largest_count() {
        let blocks = |count, most| bar(count, most, 10, Ink::Blocks);
        assert_eq!(blocks(0, 0), "");
        assert_eq!(blocks(0, 7), "");
        assert_eq!(blocks(u64::MAX, u64::MAX), "██████████");
        assert_eq!(blocks(u64::MAX / 2, u64::MAX), "█████");
        assert_eq!(blocks(1, u64::MAX), "▏");
        assert_eq!(blocks(1, 16), "▋");
        assert_eq!(bar(1, u64::MAX, 10, Ink::Ascii), "#");
        assert_eq!(bar(u64::MAX, u64::MAX, 10, Ink::Ascii), "##########");
    }

    #[test]
    fn every_line_has_the_width_unless_there_is_no_room() {
        let edges: Vec<String> = (0..=5000).map(|edge| (edge * edge).to_string()).collect();
        let counts: Vec<u64> = (0..5000).map(|bin| bin * 7919 % 10_007).collect();
        let bars = Bars { edges: &edges, counts: &counts, below: 0, above: 0, nan: 0 };
        for ink in [Ink::Blocks, Ink::Ascii] {
            let text = bars.to_text(100, ink);
            assert_eq!(text.lines().count(), 5000);
            assert!(text.lines().all(|line| columns(line) == 100));
            // 20 columns of edges, 10 of bar, 5 of count, and gaps.
            assert!(bars.to_text(0, ink).lines().all(|line| columns(line) == 39));
        }
    }

    #[test]
    fn nothing_but_zeros_and_nothing_at_all_are_drawn() {
        let none = text(&["0", "0.5", "1"], &[0, 0], [0; 3], 80, Ink::Blocks);
        assert_eq!(none, "[  0, 0.5)    0\n[0.5,   1]    0");
        assert_eq!(text(&["0", "1"], &[3], [0; 3], 0, Ink::Ascii), "[0, 1]  ##########  3");
        assert_eq!(text(&[], &[], [0; 3], 80, Ink::Blocks), "");
        assert_eq!(text(&["0"], &[], [0, 0, 4], 80, Ink::Blocks), "NaN    4");
    }

    #[test]
    fn there_are_columns_with_and_without_a_terminal() {
        assert!(terminal_columns() > 0);
    }

    #[test]
    fn the_largest_counts_fit() {
        let text = text(&["0", "1", "2"], &[u64::MAX, 1], [u64::MAX; 3], 60, Ink::Blocks);
        let lines: Vec<usize> = text.lines().map(columns).collect();
        assert_eq!(lines, [60; 5]);
    }
}
