//! `adsum devices`.

use serde_json::{Value as Json, json};

use super::args::DevicesArgs;
use super::exit::{self, Failure};
use super::report::SCHEMA;
use crate::backend::{DeviceInfo, cpu};

/// One device, what it can take, and whether it may be trusted.
pub struct Row {
    pub info: DeviceInfo,
    /// Names and values of the limits that matter.
    pub limits: Vec<(&'static str, u64)>,
    /// `passed`, `passed (cached)`, or what was wrong.
    pub self_test: String,
    pub usable: bool,
}

/// Tests an adapter, which takes a while.
pub type Test = Box<dyn FnOnce() -> Row + Send>;

/// Lists the devices of this machine and tests each adapter.
pub fn run(args: &DevicesArgs) -> Result<(), Failure> {
    let mut rows = vec![cpu_row()];
    rows.extend(adapters().into_iter().map(|(_, test)| test()));
    exit::answer(&if args.json { to_json(&rows).to_string() } else { to_table(&rows) })
}

/// The cores, which need no test.
pub fn cpu_row() -> Row {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Row {
        info: cpu::device_info(),
        limits: vec![("threads", threads as u64)],
        // The bins are what every adapter is tested against.
        self_test: "reference".to_owned(),
        usable: true,
    }
}

/// The adapters of this machine, each with its self-test.
#[cfg(feature = "gpu")]
pub fn adapters() -> Vec<(DeviceInfo, Test)> {
    use crate::gpu::{self, Adapter, Cache, Options, SelfTest};
    let row = |adapter: &Adapter| {
        let limits = adapter.limits();
        let tested = gpu::self_test(adapter, &Options::default(), &Cache::of_user());
        Row {
            info: adapter.info().clone(),
            limits: vec![
                ("buffer_bytes_max", limits.buffer_bytes_max),
                ("binding_bytes_max", limits.binding_bytes_max),
                ("workgroup_bytes_max", u64::from(limits.workgroup_bytes_max)),
                ("workgroup_threads_max", u64::from(limits.workgroup_threads_max)),
            ],
            usable: tested.is_ok(),
            self_test: match tested {
                Ok(SelfTest { cached: true }) => "passed (cached)".to_owned(),
                Ok(SelfTest { cached: false }) => "passed".to_owned(),
                Err(error) => error.to_string(),
            },
        }
    };
    let test = |adapter: Adapter| -> (DeviceInfo, Test) {
        (adapter.info().clone(), Box::new(move || row(&adapter)))
    };
    gpu::adapters().into_iter().map(test).collect()
}

/// Without the feature there are none.
#[cfg(not(feature = "gpu"))]
pub fn adapters() -> Vec<(DeviceInfo, Test)> {
    Vec::new()
}

fn to_json(rows: &[Row]) -> Json {
    let device = |row: &Row| {
        let limits: serde_json::Map<String, Json> =
            row.limits.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({
            "id": row.info.id,
            "name": row.info.name,
            "kind": row.info.kind,
            "backend": row.info.backend,
            "driver": row.info.driver,
            "limits": limits,
            "self_test": row.self_test,
            "usable": row.usable,
        })
    };
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "devices": rows.iter().map(device).collect::<Vec<_>>(),
    })
}

/// Aligned columns, and the limits of each device on a line of their own.
fn to_table(rows: &[Row]) -> String {
    let mut cells =
        vec![["ID", "NAME", "KIND", "BACKEND", "DRIVER", "SELF-TEST"].map(String::from)];
    for row in rows {
        let info = &row.info;
        cells.push([
            info.id.clone(),
            info.name.clone(),
            info.kind.to_string(),
            info.backend.clone(),
            info.driver.clone(),
            row.self_test.clone(),
        ]);
    }
    let widths: Vec<usize> = (0..6)
        .map(|column| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for (index, line) in cells.iter().enumerate() {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        table.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
        // The first line holds the headings.
        if let Some(row) = index.checked_sub(1).map(|index| &rows[index]) {
            let limits = row.limits.iter().map(|(name, value)| format!("{name} {value}"));
            let limits = limits.collect::<Vec<_>>().join(", ");
            table.push_str(&format!("{:width$}  {limits}\n", "", width = widths[0]));
        }
    }
    table.trim_end().to_owned()
}
