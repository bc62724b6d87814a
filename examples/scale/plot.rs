//! Curves over the number of nodes, both axes logarithmic, as an SVG picture.

use std::fmt::Write as _;

/// A vertical axis, from one power of ten to another.
pub struct Axis<'a> {
    pub name: &'a str,
    pub low: f64,
    pub high: f64,
}

pub struct Curve<'a> {
    pub name: &'a str,
    pub color: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// One of the pictures that stand side by side.
pub struct Panel<'a> {
    pub y: Axis<'a>,
    pub curves: Vec<Curve<'a>>,
}

/// The horizontal axis.
const NODES: Axis<'_> = Axis { name: "nodes", low: 1.0, high: 1e4 };

/// Pixels of a panel, with what stands around its frame.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 56.0;

pub fn svg(panels: &[Panel<'_>]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"14\" fill=\"#222831\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let _ = writeln!(text, "<g transform=\"translate({} 0)\">", WIDTH * index as f64);
        panel.draw(&mut text);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

impl Axis<'_> {
    /// Where a value lies, of the length of the axis.
    fn part(&self, value: f64) -> f64 {
        (value / self.low).log10() / (self.high / self.low).log10()
    }

    /// The powers of ten.
    fn decades(&self) -> Vec<i32> {
        (self.low.log10().round() as i32..=self.high.log10().round() as i32).collect()
    }
}

impl Panel<'_> {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = LEFT + NODES.part(x) * (WIDTH - LEFT - RIGHT);
        let y = HEIGHT - BOTTOM - self.y.part(y) * (HEIGHT - TOP - BOTTOM);
        (x, y)
    }

    // Writing to a string cannot fail.
    fn draw(&self, text: &mut String) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let mut line = |x1: f64, y1: f64, x2: f64, y2: f64, color: &str| {
            let _ =
                writeln!(text, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{color}\"/>");
        };
        for power in NODES.decades() {
            for digit in 1..10 {
                let value = f64::from(digit) * 10_f64.powi(power);
                if value <= NODES.high {
                    let (x, _) = self.at((value, self.y.low));
                    line(x, top, x, bottom, if digit == 1 { "#c3c8ce" } else { "#eef0f2" });
                }
            }
        }
        for power in self.y.decades() {
            for digit in 1..10 {
                let value = f64::from(digit) * 10_f64.powi(power);
                if value <= self.y.high {
                    let (_, y) = self.at((NODES.low, value));
                    line(left, y, right, y, if digit == 1 { "#c3c8ce" } else { "#eef0f2" });
                }
            }
        }
        for power in NODES.decades() {
            let (x, _) = self.at((10_f64.powi(power), self.y.low));
            let label = number(power);
            let _ = writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                bottom + 20.0
            );
        }
        for power in self.y.decades() {
            let (_, y) = self.at((NODES.low, 10_f64.powi(power)));
            let label = number(power);
            let _ = writeln!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                y + 5.0
            );
        }
        let middle = f64::midpoint(left, right);
        let _ = writeln!(
            text,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 12.0,
            NODES.name
        );
        let (x, y) = (16.0, f64::midpoint(top, bottom));
        let _ = writeln!(
            text,
            "<text transform=\"translate({x} {y:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.y.name
        );
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#222831\"/>",
            right - left,
            bottom - top
        );
        for (index, curve) in self.curves.iter().enumerate() {
            let points: Vec<(f64, f64)> =
                curve.points.iter().map(|&point| self.at(point)).collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let color = curve.color;
            let _ = writeln!(
                text,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
                path.join("L")
            );
            for (x, y) in points {
                let _ = writeln!(
                    text,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>"
                );
            }
            let y = top + 22.0 + 20.0 * index as f64;
            let _ = writeln!(
                text,
                "<path d=\"M{:.1} {:.1}h24\" stroke=\"{color}\" stroke-width=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                left + 12.0,
                y - 5.0,
                left + 44.0,
                curve.name
            );
        }
    }
}

/// A power of ten as people write it.
fn number(power: i32) -> String {
    match power {
        ..=3 => 10_u64.pow(power.unsigned_abs()).to_string(),
        4 => "10\u{202f}000".to_owned(),
        5 => "100\u{202f}000".to_owned(),
        6 => "1\u{202f}000\u{202f}000".to_owned(),
        _ => panic!("a power of ten that no axis has"),
    }
}
