//! What may stand in `config.toml`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::super::args::{
    Endpoint, THREADS_MAX, parse_advertise, parse_bind, parse_name, parse_size,
};
use crate::device::DeviceChoice;

/// All of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// CPU threads of this machine.
    #[serde(deserialize_with = "threads")]
    pub threads: Option<u64>,
    /// The most bytes of memory of one node.
    #[serde(deserialize_with = "size")]
    pub memory: Option<u64>,
    /// The devices; none for the default.
    #[serde(deserialize_with = "devices")]
    pub device: Vec<DeviceChoice>,
    /// Clusters by name.
    #[serde(deserialize_with = "clusters")]
    pub cluster: BTreeMap<String, Profile>,
    /// What `adsum node` is, where nothing else is said.
    pub node: NodeDefaults,
}

/// A cluster that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Nodes of it, one at least.
    #[serde(deserialize_with = "nodes")]
    pub nodes: Vec<Endpoint>,
    /// The file of its secret.
    #[serde(default)]
    pub token: Option<PathBuf>,
}

/// The section `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeDefaults {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `--name`.
    #[serde(deserialize_with = "name")]
    pub name: Option<String>,
    /// `--bind`.
    #[serde(deserialize_with = "bind")]
    pub bind: Option<SocketAddr>,
    /// `--advertise`.
    #[serde(deserialize_with = "addrs")]
    pub advertise: Vec<SocketAddr>,
    /// `--join`.
    #[serde(deserialize_with = "endpoints")]
    pub join: Vec<Endpoint>,
    /// `--token`.
    pub token: Option<PathBuf>,
}

impl Config {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// The message names the file, the line, the key and the way out.
    pub fn parse(text: &str, path: &Path) -> Result<Config, String> {
        let name = path.display();
        let read = toml::Deserializer::parse(text).map_err(|error| (String::new(), error));
        let config = read.and_then(|reader| {
            serde_path_to_error::deserialize(reader)
                .map_err(|error| (error.path().to_string(), error.into_inner()))
        });
        let mut config: Config = config.map_err(|(key, error)| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = 1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
            let key = match key.as_str() {
                "" | "." | "?" => String::new(),
                key => format!(", '{key}'"),
            };
            let message = error.message();
            format!("in '{name}', line {line}{key}: {message}; correct the line or take it out")
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let node = &mut config.node;
        let paths = [&mut node.data, &mut node.state, &mut node.token].into_iter();
        let tokens = config.cluster.values_mut().map(|profile| &mut profile.token);
        paths.chain(tokens).flatten().for_each(|path| *path = place(base, path));
        Ok(config)
    }
}

/// Where a path of the file leads: `~` is the user's home, and what is relative
/// lies beside the file.
fn place(base: &Path, path: &Path) -> PathBuf {
    let home = || std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => base.join(path),
    }
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected text in quotes, or a list of such in brackets")]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// What each text stands for.
fn each<'de, D: Deserializer<'de>, T, E: Display>(
    reader: D,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, D::Error> {
    let texts = match Texts::deserialize(reader)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    };
    texts.iter().map(|text| parse(text).map_err(D::Error::custom)).collect()
}

fn one<'de, D: Deserializer<'de>, T>(
    reader: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    parse(&String::deserialize(reader)?).map(Some).map_err(D::Error::custom)
}

fn threads<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<u64>, D::Error> {
    match u64::deserialize(reader)? {
        threads @ 1..=THREADS_MAX => Ok(Some(threads)),
        other => Err(D::Error::custom(format!("{other} threads; use 1 to {THREADS_MAX}"))),
    }
}

/// A number of bytes, or a text with a unit.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a size: a number of bytes, or as \"512MiB\"")]
enum Size {
    Bytes(u64),
    Text(String),
}

fn size<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<u64>, D::Error> {
    match Size::deserialize(reader)? {
        Size::Bytes(bytes) => Ok(Some(bytes)),
        Size::Text(text) => parse_size(&text)
            .map(Some)
            .map_err(|advice| D::Error::custom(format!("'{text}' is no size: {advice}"))),
    }
}

fn devices<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<DeviceChoice>, D::Error> {
    let lists = each(reader, |text| {
        text.split(',').map(DeviceChoice::from_str).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(lists.into_iter().flatten().collect())
}

fn name<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    one(reader, |text| parse_name(text).map_err(|advice| format!("'{text}' is no name: {advice}")))
}

fn bind<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<SocketAddr>, D::Error> {
    one(reader, parse_bind)
}

fn addrs<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<SocketAddr>, D::Error> {
    each(reader, parse_advertise)
}

fn endpoints<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<Endpoint>, D::Error> {
    each(reader, Endpoint::from_str)
}

fn nodes<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<Endpoint>, D::Error> {
    let nodes = endpoints(reader)?;
    match nodes.is_empty() {
        false => Ok(nodes),
        true => Err(D::Error::custom("no node; name one at least, as [\"lab1\"]")),
    }
}

/// A name that `--via` can tell from a host with a port.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct ProfileName(String);

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(text: String) -> Result<ProfileName, String> {
        match text.parse::<Endpoint>() {
            Ok(endpoint) if endpoint.bare() == Some(text.as_str()) => Ok(ProfileName(text)),
            _ => Err(format!(
                "'{text}' cannot be the name of a cluster; use letters, digits, '-', '_' and '.'"
            )),
        }
    }
}

fn clusters<'de, D: Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, Profile>, D::Error> {
    let named = BTreeMap::<ProfileName, Profile>::deserialize(reader)?;
    Ok(named.into_iter().map(|(name, profile)| (name.0, profile)).collect())
}
