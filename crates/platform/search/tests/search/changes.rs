//! What is seen of changes, and what a crash leaves.

use super::*;

#[test]
fn changes_are_seen_when_they_return() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (12, Some("12")));
    let renamed = Document::new(id(3)).text("title", "Arrakis").completion(1, "Arrakis", id(3), 1.0);
    index.apply(Batch { put: vec![renamed], remove: vec![id(4)] }, Some("13")).unwrap();
    assert_eq!(ask(&index, "arrakis"), [3]);
    assert_eq!(ask(&index, "dune"), [] as [u128; 0]);
    assert!(index.suggest("dune", &[], 5).is_empty(), "what nobody has any more is not proposed");
    assert_eq!(index.suggest("arr", &[], 5)[0].text, "Arrakis");
    assert!(index.contains(id(3)) && !index.contains(id(4)));
    let mut all: Vec<u128> = index.ids().iter().map(Uuid::as_u128).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]);
    index.apply(Batch { put: Vec::new(), remove: vec![id(99)] }, None).unwrap();
    assert_eq!(index.checkpoint().as_deref(), Some("13"), "no checkpoint leaves the one that is there");
    index.clear().unwrap();
    assert_eq!((index.stats().documents, index.checkpoint()), (0, None));
    assert_eq!(ask(&index, "hobbit"), [] as [u128; 0]);
}

#[test]
fn a_bulk_is_seen_when_it_commits_and_forgotten_when_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let mut bulk = index.bulk().unwrap();
    for book in books() {
        bulk.add(Batch { put: vec![book], remove: Vec::new() }).unwrap();
    }
    assert_eq!(index.stats().documents, 0);
    bulk.commit(Some("half")).unwrap();
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (12, Some("half")));
    bulk.add(Batch { put: Vec::new(), remove: vec![id(1)] }).unwrap();
    bulk.finish(Some("whole")).unwrap();
    assert_eq!((index.stats().documents, index.checkpoint().as_deref()), (11, Some("whole")));

    let mut bulk = index.bulk().unwrap();
    bulk.add(Batch { put: Vec::new(), remove: vec![id(2)] }).unwrap();
    drop(bulk);
    index.apply(Batch { put: vec![Document::new(id(50)).text("title", "New")], remove: Vec::new() }, None).unwrap();
    assert_eq!(index.stats().documents, 12);
    assert!(index.contains(id(2)));
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path());
    assert!(matches!(Index::open(folder.path(), schema(), options()), Err(SearchError::Locked(_))));
    drop(index);
    open(folder.path());
}

#[test]
fn a_damaged_index_is_rebuilt_and_says_so() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 5] = [
        ("garbage", |file| std::fs::write(file, b"{not json").unwrap()),
        ("truncated", |file| {
            let length = std::fs::metadata(file).unwrap().len();
            std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
        }),
        ("flipped", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::write(file, bytes).unwrap();
        }),
        ("gone", |file| std::fs::remove_file(file).unwrap()),
        ("empty", |file| std::fs::write(file, b"").unwrap()),
    ];
    for (damage, hurt) in damages {
        for ending in ["meta.json", ".term", ".idx", ".store", ".fast"] {
            let folder = tempfile::tempdir().unwrap();
            drop(with_vectors(folder.path()));
            let files = std::fs::read_dir(folder.path().join("text")).unwrap().map(|entry| entry.unwrap().path());
            let file = files.into_iter().find(|file| file.to_string_lossy().ends_with(ending)).unwrap();
            hurt(&file);
            let index = open(folder.path());
            assert!(
                matches!(index.opened(), Opened::Rebuilt { reason } if !reason.is_empty()),
                "{ending} {damage}: {:?}",
                index.opened()
            );
            assert_eq!((index.checkpoint(), index.stats().vectors), (None, 5));
            index.apply(Batch { put: books(), remove: Vec::new() }, Some("again")).unwrap();
            assert_eq!(ask(&index, "dune")[0], 3);
        }
    }
}

const CHILD: &str = "BOOKWORM_SEARCH_CRASH_FOLDER";

#[test]
fn what_a_killed_commit_left_behind_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    let document = |number: u128| Document::new(id(number)).text("title", format!("number {number}"));
    open(folder.path()).apply(Batch { put: vec![document(1), document(2)], ..Batch::default() }, Some("1")).unwrap();
    // Killed between writing which documents of a segment are deleted and saying that they are: the engine's list of
    // files has the name, and the next commit will want it.
    let list = text.join(".managed.json");
    let mut names: Vec<String> = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let segment = names.iter().find_map(|name| name.strip_suffix(".store")).unwrap().to_owned();
    let left: Vec<String> = (1..20).map(|stamp| format!("{segment}.{stamp}.del")).collect();
    left.iter().for_each(|name| std::fs::write(text.join(name), "half").unwrap());
    names.extend(left.iter().cloned());
    std::fs::write(&list, serde_json::to_vec(&names).unwrap()).unwrap();

    let index = open(folder.path());
    assert_eq!(index.opened(), &Opened::Resumed);
    index.apply(Batch { remove: vec![id(1)], ..Batch::default() }, Some("2")).unwrap();
    assert_eq!(index.stats().documents, 1);
    let kept = left.iter().filter(|name| text.join(name).exists()).count();
    assert_eq!(kept, 1, "only the new one");
}

/// Not a test of its own: [`whatever_the_moment_of_death_a_commit_is_whole`] runs it in a process that it kills. Batch
/// `n` puts documents `n` and `n % 7` as version `n` and removes `n - 10`; it says its number once it is durable.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let index = open(Path::new(&folder));
    let mut out = std::io::stdout();
    let begin: u64 = index.checkpoint().map_or(0, |checkpoint| checkpoint.parse().unwrap());
    for n in begin + 1.. {
        let document = |number: u64| {
            Document::new(id(u128::from(number))).text("title", format!("number {number}")).number("year", n as i64)
        };
        let batch = Batch {
            put: vec![document(n + 100), document(n % 7)],
            remove: n.checked_sub(10).map(|old| id(u128::from(old + 100))).into_iter().collect(),
        };
        index.put_vectors(&[(id(u128::from(n + 100)), n, vec![n as f32, 1.0, 0.0, 0.0])]).unwrap();
        if n % 5 == 0 {
            let mut bulk = index.bulk().unwrap();
            bulk.add(batch).unwrap();
            bulk.finish(Some(&n.to_string())).unwrap();
        } else {
            index.apply(batch, Some(&n.to_string())).unwrap();
        }
        writeln!(out, "durable {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn whatever_the_moment_of_death_a_commit_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let mut last = 0_u64;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "changes::child_that_is_killed", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // The first thing it says shows that it works; then it has up to a tenth of a second.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = last;
        let mut note = |line: String| {
            if let Some(number) = line.strip_prefix("durable ").or_else(|| line.split("durable ").nth(1)) {
                printed = number.trim().parse().unwrap();
                true
            } else {
                false
            }
        };
        while !note(lines.next().expect("the child stopped by itself").unwrap()) {}
        std::thread::sleep(Duration::from_micros(random % 100_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(line);
        }

        let index = open(folder.path());
        assert_eq!(index.opened(), &Opened::Resumed, "round {round}");
        let n: u64 = index.checkpoint().unwrap().parse().unwrap();
        assert!(n >= printed, "round {round}: batch {printed} was said to be durable, and {n} is what is there");
        last = n;
        let mut expected: Vec<(u128, i64)> =
            (n.saturating_sub(9).max(1)..=n).map(|k| (u128::from(k + 100), k as i64)).collect();
        for slot in 0..7 {
            if let Some(k) = (1..=n).rev().find(|k| k % 7 == slot) {
                expected.push((u128::from(slot), k as i64));
            }
        }
        expected.sort_unstable();
        let mut found: Vec<(u128, i64)> = expected
            .iter()
            .filter(|(number, year)| {
                let filters = vec![Filter::Ids(vec![id(*number)]), Filter::number("year", Some(*year), Some(*year))];
                index.search(&Request { filters, ..Request::default() }).unwrap().total == 1
            })
            .copied()
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "round {round}");
        assert_eq!(index.stats().documents, expected.len(), "round {round}: nothing but what the checkpoint says");
        // A vector is durable before its batch is said.
        let vectors = index.stats().vectors as u64;
        assert!(vectors == n || vectors == n + 1, "round {round}: {vectors} vectors after batch {n}");
        for k in 1..=n {
            assert_eq!(index.fingerprint(id(u128::from(k + 100))), Some(k), "round {round}");
        }
        let vector = index.vector(id(u128::from(n + 100))).unwrap().unwrap();
        assert!((vector[0] / vector[1] - n as f32).abs() < n as f32 * 1e-4);
    }
}
