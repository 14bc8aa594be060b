//! First starts, keys and their revocation, on real directories, stores and journals.

use super::*;
use crate::config::Sources;
use crate::life;

fn sources(dir: &std::path::Path) -> Sources {
    let mut sources = Sources { cwd: dir.to_path_buf(), ..Sources::default() };
    sources.flags.data = Some(dir.join("data").display().to_string());
    sources
}

fn settings(dir: &std::path::Path) -> Settings {
    crate::config::load(&sources(dir), servers::known()).unwrap()
}

fn known(gate: &Gate, key: &KeyText) -> bool {
    gate.engine.identify(Some(key.reveal())).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_starts_one_makes_the_key_and_both_know_it() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = tokio::join!(open(settings(dir.path()), "serve"), open(settings(dir.path()), "serve"));
    let (a, b) = (a.unwrap(), b.unwrap());
    let kept = a.dir.admin_key().unwrap().unwrap();
    let fresh: Vec<&KeyText> = [&a, &b].iter().filter_map(|gate| gate.fresh_key.as_ref()).collect();
    assert_eq!(fresh, [&kept], "one of them made it");
    for gate in [&a, &b] {
        gate.reload().await.unwrap();
        assert_eq!(&*gate.engine.identify(Some(kept.reveal())).unwrap().roles, ["admin".into()]);
    }
    assert_ne!(a.journal.chain().1, b.journal.chain().1, "a chain for each");
    a.close().await.unwrap();
    b.close().await.unwrap();
    let later = open(settings(dir.path()), "serve").await.unwrap();
    assert!(later.fresh_key.is_none() && known(&later, &kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_file_and_store_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::create(&dir.path().join("data")).unwrap();
    let key = KeyText::generate().unwrap();
    assert!(data.keep_admin_key(&key).unwrap());
    let gate = open(settings(dir.path()), "serve").await.unwrap();
    assert!(gate.fresh_key.is_none() && known(&gate, &key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_another_process_is_taken_over_by_socket_and_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(open(settings(dir.path()), "serve").await.unwrap());
    let watch = life::watch(&gate, &sources(dir.path()), None).await.unwrap();

    let other = Store::open(gate.dir.path()).await.unwrap();
    let key = KeyText::generate().unwrap();
    insert_key(&other, &key, "x", vec!["viewer".into()], None).await.unwrap();
    let told = crate::control::tell_all(&gate.dir.run(), "reload").await;
    assert!(told.len() == 1 && told[0].problem.is_none(), "{told:?}");
    assert!(known(&gate, &key), "in force once the command has its answer");

    // Without a word over the socket.
    other.set_server_running("omnipotent", false).await.unwrap();
    let running =
        || gate.engine.servers(&local_caller()).into_iter().find(|s| s.id == "omnipotent").unwrap().running;
    let stopped = async {
        while running() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), stopped).await.expect("the stop is taken over");
    gate.keep_running("omnipotent", true).await.unwrap();
    assert!(running(), "what is kept is in force");
    assert!(other.revoke_key(key.id()).await.unwrap());
    let gone = tokio::time::timeout(std::time::Duration::from_secs(10), gate.key_gone(&key)).await;
    assert!(gone.is_ok() && !known(&gate, &key));

    life::end(gate.clone(), watch).await.unwrap();
    assert!(gate.event("too_late", None).await.is_err(), "the journal is closed");
    assert_eq!(std::fs::read_dir(gate.dir.run()).unwrap().count(), 0);
}
