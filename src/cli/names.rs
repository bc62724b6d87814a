//! `adsum ls` and `adsum rm`: the names that a cluster knows.

use serde_json::{Value as Json, json};

use super::args::{LsArgs, RmArgs};
use super::exit::{self, Blame, Failure};
use super::report::{SCHEMA, decimal_bytes};
use super::table::{Align, Table};
use crate::catalogue::{Copies, Listed, Nodes, Pattern, State};
use crate::wire::{Question, Reply};

/// Lists names.
pub fn list(args: &LsArgs) -> Result<(), Failure> {
    let patterns = args
        .patterns
        .iter()
        .map(|pattern| Pattern::new(pattern).map_err(|error| Failure::new(Blame::Input, error)));
    let patterns = patterns.collect::<Result<Vec<_>, Failure>>()?;
    let client = args.via.client()?;
    let mut names = match client.ask(&Question::List)? {
        Reply::Listed(names) => names,
        other => return Err(client.wrong(&other).into()),
    };
    let wanted = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    names.retain(|listed| patterns.is_empty() || wanted(&listed.name));
    let text = match args.json {
        true => {
            let names: Vec<Json> = names.iter().map(to_json).collect();
            json!({ "schema": SCHEMA, "version": env!("CARGO_PKG_VERSION"), "names": names })
                .to_string()
        }
        false => to_table(&names),
    };
    exit::answer(&text)
}

/// Forgets names, one after the other.
pub fn remove(args: &RmArgs) -> Result<(), Failure> {
    let client = args.via.client()?;
    let mut removed = Vec::new();
    for name in &args.names {
        match client.ask(&Question::Remove { name: name.clone() })? {
            Reply::Removed(digests) => {
                let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
                removed.push(json!({ "name": name, "digests": digests }));
            }
            other => return Err(client.wrong(&other).into()),
        }
        if !args.json {
            exit::say(&format!("forgot '{name}'"));
        }
    }
    match args.json {
        true => exit::answer(
            &json!({ "schema": SCHEMA, "version": env!("CARGO_PKG_VERSION"), "removed": removed })
                .to_string(),
        ),
        false => Ok(()),
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Present => "present",
        State::Unhashed => "hashing",
        State::Missing => "missing",
        State::Conflict => "conflict",
        State::Returned => "returned",
    }
}

fn to_table(names: &[Listed]) -> String {
    let columns = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Left, Align::Left];
    let mut table = Table::new(&columns);
    table.push(["NAME", "DTYPE", "SHAPE", "SIZE", "STATE", "NODES"].map(str::to_owned));
    for listed in names {
        for copies in &listed.contents {
            let array = &copies.array;
            table.push([
                listed.name.clone(),
                array.layout.dtype.to_string(),
                shape(&array.shape),
                decimal_bytes(copies.bytes()),
                state(if copies.removed { State::Returned } else { listed.state }).to_owned(),
                holders(copies),
            ]);
        }
    }
    table.to_text()
}

fn shape(shape: &[u64]) -> String {
    match shape {
        [] => "()".to_owned(),
        lengths => lengths.iter().map(u64::to_string).collect::<Vec<_>>().join("x"),
    }
}

fn holders(copies: &Copies) -> String {
    let names = |nodes: &Nodes| {
        nodes.values().map(|holder| holder.name.clone()).collect::<Vec<_>>().join(" ")
    };
    match copies.live.is_empty() {
        true => format!("last {}", names(&copies.last)),
        false => names(&copies.live),
    }
}

fn to_json(listed: &Listed) -> Json {
    let nodes = |nodes: &Nodes| {
        let node = |(id, holder): (&crate::placement::NodeId, &crate::catalogue::Holder)| json!({ "id": id.to_string(), "name": holder.name, "addr": holder.addr });
        nodes.iter().map(node).collect::<Vec<Json>>()
    };
    let contents: Vec<Json> = listed
        .contents
        .iter()
        .map(|copies| {
            json!({
                "digest": copies.digest.map(|digest| digest.to_string()),
                "dtype": copies.array.layout.dtype.name(),
                "shape": copies.array.shape,
                "bytes": copies.bytes(),
                "nodes": nodes(&copies.live),
                "last": nodes(&copies.last),
                "removed": copies.removed,
            })
        })
        .collect();
    json!({ "name": listed.name, "state": state(listed.state), "contents": contents })
}
