use super::*;

fn svg(edges: &[f64], counts: &[u64]) -> String {
    Plot { title: "histogram", data: "x.npy (float64)", edges, counts }.to_svg()
}

/// Bars of a picture: x, y, width, height of each filled rectangle but the
/// first, which is the paper.
fn bars(svg: &str) -> Vec<[i32; 4]> {
    let field = |line: &str, name: &str| -> i32 {
        let (_, rest) = line.split_once(&format!(" {name}=\"")).expect("a rectangle has it");
        rest.split('"').next().and_then(|number| number.parse().ok()).expect("an integer")
    };
    svg.lines()
        .filter(|line| line.starts_with("<rect"))
        .skip(1)
        .map(|line| ["x", "y", "width", "height"].map(|name| field(line, name)))
        .collect()
}

#[test]
fn bars_are_in_proportion_and_side_by_side() {
    let svg = svg(&[0.0, 1.0, 2.0, 4.0], &[50, 100, 25]);
    let [first, second, third] = bars(&svg)[..] else { panic!("three bars: {svg}") };
    assert!((first[3] * 2 - second[3]).abs() <= 2, "{first:?} {second:?}");
    assert!((third[3] * 4 - second[3]).abs() <= 4, "{third:?} {second:?}");
    assert!((first[2] * 2 - third[2]).abs() <= 2, "{first:?} {third:?}");
    assert_eq!(first[0] + first[2] + 1, second[0]);
    assert_eq!(first[1] + first[3], third[1] + third[3]);
    for text in ["histogram", "x.npy (float64)", "count", "\n0.0\n", "\n100\n"] {
        assert!(svg.contains(text), "{text} is in {svg}");
    }
}

#[test]
fn bins_narrower_than_a_pixel_show_their_largest_count() {
    let edges: Vec<f64> = (0..=100_000).map(f64::from).collect();
    let mut counts = vec![1; 100_000];
    counts[50_000] = 1000;
    let bars = bars(&svg(&edges, &counts));
    assert!(bars.len() < 1000, "{} bars", bars.len());
    let highest = bars.iter().map(|bar| bar[3]).max();
    assert_eq!(bars.iter().filter(|bar| Some(bar[3]) == highest).count(), 1);
    assert!(bars.iter().all(|bar| bar[3] >= 1));
}

#[test]
fn no_numbers_are_too_large_too_small_or_too_few() {
    let max = f64::MAX;
    let cases: [(&[f64], &[u64]); 12] = [
        (&[], &[]),
        (&[0.0], &[]),
        (&[0.0, 1.0], &[0]),
        (&[1.0, 1.0], &[7]),
        (&[-max, 0.0, max], &[u64::MAX, 1]),
        (&[1e-300, 2e-300, 3e-300], &[1, 2]),
        (&[0.0, 5e-324, 1e-323], &[1, 2]),
        (&[0.0, 5e-324], &[1]),
        (&[1.0, f64::next_up(1.0)], &[1]),
        (&[f64::NEG_INFINITY, 0.0, f64::INFINITY], &[3, 4]),
        (&[f64::NEG_INFINITY, f64::INFINITY], &[3]),
        (&[max, f64::INFINITY], &[3]),
    ];
    for (edges, counts) in cases {
        let svg = svg(edges, counts);
        assert!(svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN"), "{edges:?}");
        let filled = counts.iter().filter(|count| **count > 0).count();
        assert_eq!(bars(&svg).len(), filled, "{edges:?}");
        for [x, y, width, height] in bars(&svg) {
            assert!(x >= 0 && y >= 0 && width > 0 && height > 0, "{edges:?}");
            assert!(x + width <= SIZE.0 as i32 && y + height <= SIZE.1 as i32, "{edges:?}");
        }
    }
}

#[test]
fn names_are_text_whatever_they_hold() {
    let title = "<a> & \"b\"\u{1b}[31m\n";
    let data = "long/".repeat(100) + "end.npy (float64)";
    let svg = Plot { title, data: &data, edges: &[0.0, 1.0], counts: &[1] }.to_svg();
    assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;\u{fffd}[31m\u{fffd}"), "{svg}");
    assert!(!svg.contains(&data));
    assert!(svg.contains("end.npy (float64)") && svg.contains('…'), "{svg}");
}
