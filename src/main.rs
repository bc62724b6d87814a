//! The `adsum` program; everything is in the library.

fn main() -> std::process::ExitCode {
    adsum::cli::main()
}
