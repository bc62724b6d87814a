//! `adsum config`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::{Value as Json, json};

use super::super::args::ConfigArgs;
use super::super::exit::{self, Blame, Failure};
use super::super::report::SCHEMA;
use super::super::table::{Align, Table};
use super::{Loaded, Settings, Source, load, path};
#[cfg(feature = "net")]
use crate::transport::DEFAULT_PORT;
#[cfg(not(feature = "net"))]
const DEFAULT_PORT: u16 = 0;

/// One setting as it is told. What is not set is null.
struct Row {
    key: String,
    value: Json,
    source: Source,
}

/// Tells what holds without any flag. Of tokens only where they are.
pub fn run(args: &ConfigArgs) -> Result<(), Failure> {
    if args.path {
        let path = path().ok_or_else(|| {
            let message = "this user has no directory for configuration; set HOME, or name the file by ADSUM_CONFIG";
            Failure::new(Blame::Usage, message)
        })?;
        return exit::answer(&path.display().to_string());
    }
    let loaded = load()?;
    let rows = rows(&loaded)?;
    exit::answer(&match args.json {
        true => to_json(&loaded, &rows).to_string(),
        false => to_table(&loaded, &rows),
    })
}

fn rows(loaded: &Loaded) -> Result<Vec<Row>, Failure> {
    let config = &loaded.config;
    let settings = Settings::new(config)?;
    let devices: Vec<String> = settings.device.value.iter().map(ToString::to_string).collect();
    let row = |key: &str, value, source| Row { key: key.to_owned(), value, source };
    let mut rows = vec![
        row("threads", json!(settings.threads.value), settings.threads.source),
        row("memory", json!(settings.memory.value), settings.memory.source),
        row("device", json!(devices), settings.device.source),
        row("token", shown(settings.token.value.as_deref()), settings.token.source),
    ];
    for (name, profile) in &config.cluster {
        let nodes: Vec<String> = profile.nodes.iter().map(ToString::to_string).collect();
        rows.push(row(&format!("cluster.{name}.nodes"), json!(nodes), Source::File));
        if let Some(token) = &profile.token {
            rows.push(row(&format!("cluster.{name}.token"), shown(Some(token)), Source::File));
        }
    }
    let node = &config.node;
    let of_file = |key: &str, value: Option<Json>, default: Json| {
        let source = if value.is_some() { Source::File } else { Source::Default };
        row(&format!("node.{key}"), value.unwrap_or(default), source)
    };
    let own = |path: &Option<std::path::PathBuf>| path.as_deref().map(|path| shown(Some(path)));
    let texts = |texts: Vec<String>| (!texts.is_empty()).then(|| json!(texts));
    let state = node.data.as_ref().map(|data| data.join(".adsum"));
    let bind = SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)).to_string();
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let advertise = node.advertise.iter().map(ToString::to_string).collect();
    let join = node.join.iter().map(ToString::to_string).collect();
    rows.extend([
        of_file("data", own(&node.data), Json::Null),
        of_file("state", own(&node.state), shown(state.as_deref())),
        of_file("name", node.name.as_ref().map(|name| json!(name)), json!(host)),
        of_file("bind", node.bind.map(|addr| json!(addr.to_string())), json!(bind)),
        of_file("advertise", texts(advertise), Json::Null),
        of_file("join", texts(join), Json::Null),
    ]);
    rows.push(match (settings.token.source, own(&node.token)) {
        (Source::Default, Some(token)) => row("node.token", token, Source::File),
        (source, _) => row("node.token", shown(settings.token.value.as_deref()), source),
    });
    Ok(rows)
}

fn shown(path: Option<&Path>) -> Json {
    path.map_or(Json::Null, |path| json!(path.display().to_string()))
}

fn to_json(loaded: &Loaded, rows: &[Row]) -> Json {
    let file = shown(loaded.path.as_deref());
    let settings = rows.iter().map(|row| {
        let (source, from) = match row.source {
            Source::Environment(variable) => ("environment", json!(variable)),
            Source::File => ("file", file.clone()),
            Source::Default => ("default", Json::Null),
        };
        json!({ "key": row.key, "value": row.value, "source": source, "from": from })
    });
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "file": file,
        "found": loaded.found,
        "settings": settings.collect::<Vec<_>>(),
    })
}

fn to_table(loaded: &Loaded, rows: &[Row]) -> String {
    let mut table = Table::new(&[Align::Left; 3]);
    table.push(["KEY", "VALUE", "SOURCE"].map(str::to_owned));
    for row in rows {
        let value = match (&row.value, row.key.as_str()) {
            (Json::Null, _) => "-".to_owned(),
            (Json::String(text), _) => text.clone(),
            (Json::Array(texts), _) => {
                texts.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" ")
            }
            (Json::Number(bytes), "memory") => size(bytes.as_u64().unwrap_or(0)),
            (other, _) => other.to_string(),
        };
        let source = match row.source {
            Source::Environment(variable) => format!("environment {variable}"),
            Source::File => loaded.path.as_deref().unwrap_or(Path::new("")).display().to_string(),
            Source::Default => "default".to_owned(),
        };
        table.push([row.key.clone(), value, source]);
    }
    table.to_text()
}

/// A size as `--memory` takes it, in the largest unit that leaves no rest.
pub fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    whole.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}
