//! Lists from outside that end at a limit.
//!
//! An item can take one byte of a message and many of memory, so the bytes of a
//! message alone bound nothing. To be named in `#[serde(deserialize_with)]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// A list of at most `MAX` items; a longer one is an error before it is read.
///
/// # Errors
/// The deserializer's own, or a longer list.
pub(crate) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData))
}

struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
        if let Some(count) = from.size_hint()
            && count > MAX
        {
            return Err(A::Error::invalid_length(count, &self));
        }
        // The list grows as items come, so a count without items costs nothing.
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            if items.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Few {
        #[serde(deserialize_with = "super::list::<_, _, 3>")]
        items: Vec<u8>,
    }

    #[test]
    fn a_list_is_read_up_to_its_limit() {
        for count in 0..6 {
            let few = Few { items: vec![7; count] };
            let bytes = postcard::to_stdvec(&few).expect("to memory");
            let read = postcard::from_bytes::<Few>(&bytes);
            assert_eq!(read.ok(), (count <= 3).then_some(few));
        }
    }

    #[test]
    fn a_claim_costs_nothing() {
        let bytes = postcard::to_stdvec(&u64::MAX).expect("to memory");
        assert!(postcard::from_bytes::<Few>(&bytes).is_err());
    }
}
