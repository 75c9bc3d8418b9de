use super::*;

#[test]
fn small_content_that_was_damaged_is_put_again() {
    let directory = tempfile::tempdir().unwrap();
    let digest = Store::open(directory.path()).unwrap().put(b"config").unwrap();
    for damaged in ["", "confix"] {
        let store = Store::open(directory.path()).unwrap();
        fs::write(store.blob_path(&digest), damaged).unwrap();
        assert_eq!(store.put(b"config").unwrap(), digest);
        assert_eq!(fs::read(store.blob_path(&digest)).unwrap(), b"config");
    }
}
