//! Histograms and quantiles against plain oracles: big integers, a sort, and
//! edges that NumPy computed.

mod edges;
mod elements;
mod quantiles;
