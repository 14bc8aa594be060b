//! Long processes: talk, pages, ends, owners.

use super::*;

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn talk() {
    let place = Place::new();
    let exec = place.exec(Profile::Standard);
    let cat = exec.start(exec.parse("cat").unwrap(), "a").await.unwrap();
    let preference = format!("/proc/{}/oom_score_adj", cat.info().pid);
    assert_eq!(std::fs::read_to_string(preference).unwrap().trim(), "500", "it goes before the gateway");
    cat.send("one\ntwo\nthr").await.unwrap();
    let page = cat.read(0, 100, WAIT).await;
    assert_eq!(page.lines, ["one", "two", "thr"]);
    assert_eq!((page.from, page.next, page.info.lines, page.info.running), (0, 2, 3, true));
    assert_eq!(cat.read(-1, 100, WAIT).await.lines, ["thr"]);
    assert_eq!(cat.read(-2, 1, WAIT).await.lines, ["two"]);
    assert_eq!(cat.read(0, 1, WAIT).await.next, 1);
    // The unfinished line was seen: reading on waits for more.
    let (page, sent) = tokio::join!(cat.read(2, 100, WAIT), cat.send("ee\n"));
    sent.unwrap();
    assert_eq!((page.lines, page.next), (vec!["three".to_owned()], 3));
    let started = std::time::Instant::now();
    assert!(cat.read(3, 100, Duration::from_millis(100)).await.lines.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(100));
    // Ctrl-D ends the input, and so the program.
    cat.send("bye\u{4}").await.unwrap();
    until("cat has ended", || !cat.info().running).await;
    let page = cat.read(3, 100, WAIT).await;
    assert_eq!((page.lines, page.info.exit_code, page.info.signal), (vec!["bye".to_owned()], Some(0), None));
    assert_eq!(cat.send("x").await.unwrap_err().kind, Kind::Conflict);
}

#[tokio::test]
async fn terminate_gently_and_by_force() {
    let place = Place::new();
    place.script(
        "stubborn.py",
        "import signal, time\nsignal.signal(signal.SIGTERM, lambda *a: print('no', flush=True))\n\
         print('up', flush=True)\nwhile True: time.sleep(1000)\n",
    );
    let exec = place.exec(Profile::Standard);
    let sleep = exec.start(exec.parse("sleep 1000").unwrap(), "a").await.unwrap();
    let info = sleep.terminate(false).await;
    assert_eq!((info.running, info.signal), (false, Some(15)));
    let stubborn = || async {
        let session = exec.start(exec.parse("python3 stubborn.py").unwrap(), "a").await.unwrap();
        assert_eq!(session.read(0, 10, WAIT).await.lines, ["up"]);
        session
    };
    let session = stubborn().await;
    let started = std::time::Instant::now();
    let info = session.terminate(false).await;
    assert_eq!((info.running, info.signal), (false, Some(9)));
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(session.read(-1, 1, WAIT).await.lines, ["no"]);
    let session = stubborn().await;
    let started = std::time::Instant::now();
    assert_eq!(session.terminate(true).await.signal, Some(9));
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(!alive(i32::try_from(session.info().pid).unwrap()));
}

#[tokio::test]
async fn owners_and_bounds() {
    let place = Place::new();
    let rules = ExecRules { allow: allow(), max_children: 100, ..ExecRules::default() };
    let exec = place.exec_with(rules, vec![]);
    let mut ids = Vec::new();
    for _ in 0..16 {
        ids.push(exec.start(exec.parse("sleep 1000").unwrap(), "a").await.unwrap().id());
    }
    let error = exec.start(exec.parse("sleep 1000").unwrap(), "a").await.err().unwrap();
    assert_eq!(error.kind, Kind::RateLimited);
    let other = exec.start(exec.parse("echo done").unwrap(), "b").await.unwrap();
    assert_eq!(exec.sessions("a").iter().map(Session::id).collect::<Vec<_>>(), ids);
    assert!(exec.session(ids[0], "b").is_none() && exec.session(other.id(), "a").is_none());
    assert_eq!(exec.session(other.id(), "b").unwrap().info().command, "echo done");
    until("echo has ended", || !other.info().running).await;
    for _ in 0..55 {
        let session = exec.start(exec.parse("echo x").unwrap(), "b").await.unwrap();
        until("echo has ended", || !session.info().running).await;
    }
    assert!((50..=51).contains(&exec.sessions("b").len()), "{}", exec.sessions("b").len());
    assert!(exec.session(other.id(), "b").is_none());
    let pids: Vec<_> = exec.sessions("a").iter().map(|s| i32::try_from(s.info().pid).unwrap()).collect();
    drop(exec);
    for pid in pids {
        until("all are dead", || !alive(pid)).await;
    }
}
