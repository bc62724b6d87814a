//! Lists of hosts as Slurm writes them: `n[01-03,7],x2` is `n01`, `n02`,
//! `n03`, `n7` and `x2`.

/// The most hosts of one list.
const HOSTS_MAX: usize = 1 << 16;

/// Why a list of hosts cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostListError {
    /// A bracket has no partner.
    #[error("'{part}' has a bracket without its partner")]
    Bracket {
        /// The part between commas.
        part: String,
    },
    /// What stands in brackets is no number and no range.
    #[error("'{range}' is no number and no range as 01-16")]
    Range {
        /// It.
        range: String,
    },
    /// Nothing stands between two commas.
    #[error("there is an empty name in it")]
    Empty,
    /// Too many hosts.
    #[error("it has more than {HOSTS_MAX} hosts")]
    TooMany,
}

/// The hosts of a list, in its order.
///
/// A name may have several brackets; the last varies fastest. Zeros in front of
/// a range's first number are kept.
///
/// # Errors
/// The list is malformed, or too long.
pub fn expand(list: &str) -> Result<Vec<String>, HostListError> {
    let mut hosts = Vec::new();
    for part in parts(list)? {
        let names = expand_part(part)?;
        if hosts.len() + names.len() > HOSTS_MAX {
            return Err(HostListError::TooMany);
        }
        hosts.extend(names);
    }
    Ok(hosts)
}

/// What stands between the commas that are outside of brackets.
fn parts(list: &str) -> Result<Vec<&str>, HostListError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_inside = false;
    let bracket = |start: usize| HostListError::Bracket { part: list[start..].to_owned() };
    for (at, character) in list.char_indices() {
        match (character, is_inside) {
            ('[', false) => is_inside = true,
            (']', true) => is_inside = false,
            ('[', true) | (']', false) => return Err(bracket(start)),
            (',', false) => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_inside {
        return Err(bracket(start));
    }
    parts.push(&list[start..]);
    if parts.iter().any(|part| part.trim().is_empty()) {
        return Err(HostListError::Empty);
    }
    Ok(parts.into_iter().map(str::trim).collect())
}

fn expand_part(part: &str) -> Result<Vec<String>, HostListError> {
    let mut names = vec![String::new()];
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('[') {
        // `parts` has paired the brackets.
        let (ranges, after) = after.split_once(']').unwrap_or((after, ""));
        let mut numbers = Vec::new();
        for range in ranges.split(',') {
            numbers.extend(expand_range(range)?);
            if numbers.len() * names.len() > HOSTS_MAX {
                return Err(HostListError::TooMany);
            }
        }
        let longer = |name: &String| {
            let start = format!("{name}{before}");
            numbers.iter().map(move |number| format!("{start}{number}")).collect::<Vec<_>>()
        };
        names = names.iter().flat_map(longer).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn expand_range(range: &str) -> Result<Vec<String>, HostListError> {
    let malformed = || HostListError::Range { range: range.to_owned() };
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse::<u64>().map_err(|_| malformed()),
        false => Err(malformed()),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let width = first.len();
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(malformed());
    }
    if last - first >= HOSTS_MAX as u64 {
        return Err(HostListError::TooMany);
    }
    Ok((first..=last).map(|number| format!("{number:0width$}")).collect())
}
