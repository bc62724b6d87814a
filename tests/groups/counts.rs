//! A count above 2^31 through whole communicators.

use crate::marks::{MANY, MARKS};
use crate::threads::group;

#[test]
fn more_than_two_to_the_31_elements_come_whole() {
    // What is not written takes no memory, so this is one array of 2 GiB, at the receiver.
    group(2, |comm| {
        let mut data = vec![0; MANY];
        if comm.rank() == 0 {
            MARKS.iter().for_each(|&(at, mark)| data[at] = mark);
        }
        comm.broadcast_in_place(&mut data, 0).unwrap();
        MARKS.iter().for_each(|&(at, mark)| assert_eq!(data[at], mark, "at {at}"));
        let zeros = data.iter().filter(|&&element| element == 0).count();
        assert_eq!(zeros, MANY - MARKS.len());
    });
}
