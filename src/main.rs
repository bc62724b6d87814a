//! The `adsum` program; everything is in the library.

fn main() -> std::process::ExitCode {
    adsum::cli::run(adsum::cli::Program::of_this_process()).into()
}
