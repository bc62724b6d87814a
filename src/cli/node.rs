pub fn run() -> Result<(), super::Failure> {
    todo!()
}
