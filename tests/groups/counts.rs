//! A count above 2^31 through whole communicators.

use crate::threads::group;

/// Elements of one byte. Neither an i32 nor, times two, a u32 holds it.
const MANY: usize = (1 << 31) + 3;

/// Places at which 32 bits would go wrong, and what is there.
const MARKS: [(usize, u8); 5] =
    [(0, 1), ((1 << 31) - 1, 2), (1 << 31, 3), ((1 << 31) + 1, 4), (MANY - 1, 5)];

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
