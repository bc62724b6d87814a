//! How it starts and ends.

use super::*;

fn refused(place: &Place, options: Options) -> String {
    place.start_with(options).err().expect("it is refused").to_string()
}

#[test]
fn what_cannot_begin_says_why_and_the_way_out() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    let refused = |options| refused(&place, options);
    let told = refused(Options { data: place.at("none"), ..place.options() });
    assert!(told.contains("none' does not exist") && told.contains("--data"), "{told}");
    assert!(!place.state().exists(), "nothing is made before the data is there");
    let told = refused(Options { data: place.at("a.npy"), ..place.options() });
    assert!(told.contains("a.npy' is not a directory") && told.contains("--data"), "{told}");
    let told = refused(Options { state: place.at("a.npy"), ..place.options() });
    assert!(told.contains("a.npy' could not be made") && told.contains("--state"), "{told}");
    place.make_directory("taken/digests");
    let told = refused(Options { state: place.at("taken"), ..place.options() });
    assert!(told.contains("taken' could not be made") && told.contains("--state"), "{told}");
}

#[test]
fn one_state_directory_serves_one_inventory() {
    let place = Place::new();
    let watched = place.start();
    let told = refused(&place, place.options());
    assert!(told.contains("state' is in use") && told.contains("--state"), "{told}");
    let elsewhere = Options { state: place.directory.path().join("other"), ..place.options() };
    assert!(place.start_with(elsewhere).is_ok());
    drop(watched);
    place.start();
}

#[cfg(unix)]
#[test]
fn the_state_is_for_this_user_and_the_data_is_only_read() {
    let place = Place::new();
    place.write("a.npy", &bytes_npy(b"abc"));
    set_mode(&place.data(), 0o555);
    place.start().until_hashed();
    set_mode(&place.data(), 0o755);
    assert_eq!(mode(&place.state()), 0o700);
    assert_eq!(names_in(&place.data()), ["a.npy"]);
}

#[cfg(unix)]
#[test]
fn it_ends_at_once_when_it_is_dropped() {
    let place = Place::new();
    place.write_huge("a.npy");
    let watched = place.start();
    place.write("b.npy", &bytes_npy(b"abc"));
    watched.until("new", |snapshot| snapshot.files.len() == 2);
    // Or it has nothing to do for a year.
    let year = Duration::from_secs(365 * 24 * 3600);
    let other = Place::new();
    let idle = other.start_with(Options { interval: year, ..other.options() }).ok();
    let took = time(|| drop((watched, idle)));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn its_own_thread_may_drop_it() {
    let place = Place::new();
    let held: Arc<Mutex<Option<Inventory>>> = Arc::default();
    let (sender, receiver) = channel();
    let within = Arc::clone(&held);
    let changed = move || {
        drop(within.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Once is enough.
        let _ = sender.send(());
    };
    let inventory = Inventory::start(place.options(), changed).expect("it starts");
    *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(inventory);
    place.write("a.npy", &bytes_npy(b"abc"));
    assert!(receiver.recv_timeout(PATIENCE).is_ok());
}
