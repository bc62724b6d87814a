//! Rates as a picture: a bar for each row.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::rows::Row;
use crate::cli::plot::ticks::Axis;
use crate::cli::plot::{BAR, GRID, INK};

const WIDTH: u32 = 1000;
const ROW_HEIGHT: i32 = 22;
const BAR_HEIGHT: i32 = 14;
/// Room for the names of rows.
const LEFT: i32 = 260;
const RIGHT: i32 = 90;
const TOP: i32 = 50;
const BOTTOM: i32 = 60;
const FONT: u32 = 15;
const TITLE_FONT: u32 = 22;

/// The picture of what was measured of `kind`.
pub fn draw(kind: &str, rows: &[Row]) -> String {
    let height = TOP + BOTTOM + ROW_HEIGHT * rows.len() as i32;
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
    draw_on(&root, kind, rows, height).expect("a picture in memory can be drawn");
    drop(root);
    svg
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_on(
    root: &Area<'_>,
    kind: &str,
    rows: &[Row],
    height: i32,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    root.fill(&WHITE)?;
    let text = |size: u32, h: HPos, v: VPos| {
        TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(h, v))
    };
    let title = format!("adsum bench {kind}: element bytes per second");
    root.draw(&Text::new(title, (16, 14), text(TITLE_FONT, HPos::Left, VPos::Top)))?;

    let most = rows.iter().map(|row| row.gb_per_s).fold(1e-3, f64::max);
    let axis = Axis::new(0.0, most * 1.02);
    let right = WIDTH as i32 - RIGHT;
    let x = |value: f64| LEFT + (axis.place(value) * f64::from(right - LEFT)).round() as i32;
    let bottom = height - BOTTOM;
    for tick in axis.ticks(10, false) {
        let at = LEFT + (tick.place * f64::from(right - LEFT)).round() as i32;
        root.draw(&PathElement::new(vec![(at, TOP), (at, bottom)], GRID))?;
        let label = text(FONT, HPos::Center, VPos::Top);
        root.draw(&Text::new(tick.label, (at, bottom + 6), label))?;
    }
    let name = text(FONT, HPos::Center, VPos::Bottom);
    root.draw(&Text::new("GB/s", ((LEFT + right) / 2, height - 10), name))?;
    for (number, row) in (0..).zip(rows) {
        let middle = TOP + number * ROW_HEIGHT + ROW_HEIGHT / 2;
        let Row { what, dtype, dist, device, gb_per_s, .. } = row;
        let label = format!("{what} {dtype} {dist}, {device}");
        let style = text(FONT, HPos::Right, VPos::Center);
        root.draw(&Text::new(label, (LEFT - 8, middle), style))?;
        let corners = [
            (LEFT, middle - BAR_HEIGHT / 2),
            (x(*gb_per_s).max(LEFT + 1), middle + BAR_HEIGHT / 2),
        ];
        root.draw(&Rectangle::new(corners, BAR.filled()))?;
        let rate = text(FONT, HPos::Left, VPos::Center);
        root.draw(&Text::new(format!("{gb_per_s:.1}"), (x(*gb_per_s) + 6, middle), rate))?;
    }
    root.draw(&PathElement::new(vec![(LEFT, TOP), (LEFT, bottom)], INK))?;
    root.present()
}
