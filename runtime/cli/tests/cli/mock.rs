//! `rimward dev` with stand-ins for upstreams: replies from a file, and a file made of real replies.

use crate::harness::{Folder, Running, address, get_path, guest};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// A service that answers with the path that it was asked for, and remembers what it was told of its callers.
fn origin() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let seen = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|read| read > 2) {}
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            seen.lock().unwrap().push(head);
            let reply = format!(
                "HTTP/1.1 201 Created\r\nconnection: close\r\nset-cookie: session=7\r\nx-from: origin\r\n\
                 content-length: {}\r\n\r\n{path}",
                path.len()
            );
            // Whoever went away misses the answer.
            let _ = stream.get_mut().write_all(reply.as_bytes());
        }
    });
    (address, heads)
}

fn write_app(folder: &Folder, url: &str) {
    let app = format!(
        "[app]\nname = \"gateway\"\n[function.sends]\ncomponent = \"proxy.wasm\"\nupstreams = [\"origin\"]\n\
         [[trigger.http]]\nroute = \"/*rest\"\nfunction = \"sends\"\n\
         [upstream.origin]\nurl = \"{url}\"\nheaders = {{ x-key = \"{{secret:key}}\" }}\n"
    );
    folder.write("rimward.toml", app).write("proxy.wasm", guest("proxy"));
}

fn dev(folder: &Folder, stand: &[&str]) -> (Running, SocketAddr) {
    let mut dev = folder.start(&[&["dev", "--json", "--listen", "127.0.0.1:0"], stand].concat());
    let listening = dev.event("listening");
    let stand_in = dev.event("stand-in");
    assert_eq!(stand_in["upstream"], "origin");
    dev.event("serving");
    (dev, address(&listening))
}

#[test]
fn an_upstream_is_mocked_without_it_and_without_its_secrets() {
    let folder = Folder::new();
    write_app(&folder, "https://origin.invalid/v2");
    let replies =
        "[[reply]]\npath = \"/a\"\nstatus = 418\nheaders = { x-mock = \"1\" }\nbody = \"short and stout\"\n";
    folder.write("fixtures/origin.toml", replies);
    let (mut dev, address) = dev(&folder, &["--mock", "origin=fixtures/origin.toml"]);
    assert_eq!(get_path(address, "/a"), (418, "short and stout".to_owned()));
    let (status, why) = get_path(address, "/b");
    assert!(status == 501 && why.contains("origin.toml fits GET /b"), "{status} {why}");
    assert!(dev.event("warning")["error"].to_string().contains("fits GET /b"));
    // Edited while it runs.
    folder.write("fixtures/origin.toml", replies.replace("\"/a\"", "\"/b\""));
    assert_eq!(get_path(address, "/b"), (418, "short and stout".to_owned()));
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn what_was_recorded_is_given_again_and_holds_no_credentials() {
    let folder = Folder::new();
    let (origin, heads) = origin();
    write_app(&folder, &format!("http://{origin}/v2"));
    folder.write(".rimward/secrets/key", "k3y-of-origin");
    let (recording, address) = dev(&folder, &["--record", "origin=fixtures/origin.toml"]);
    assert_eq!(get_path(address, "/a?x=1"), (201, "/v2/a?x=1".to_owned()));
    assert_eq!(get_path(address, "/b"), (201, "/v2/b".to_owned()));
    assert_eq!(recording.stop(), Some(0));
    assert!(heads.lock().unwrap().iter().all(|head| head.contains("x-key: k3y-of-origin")));
    let recorded = std::fs::read_to_string(folder.path().join("fixtures/origin.toml")).unwrap();
    assert!(!recorded.contains("k3y-of-origin") && !recorded.contains("session=7"), "{recorded}");
    let asked = heads.lock().unwrap().len();
    let (mocked, address) = dev(&folder, &["--mock", "origin=fixtures/origin.toml"]);
    assert_eq!(get_path(address, "/a?x=1"), (201, "/v2/a?x=1".to_owned()));
    assert_eq!(get_path(address, "/b"), (201, "/v2/b".to_owned()));
    assert_eq!(get_path(address, "/a").0, 501);
    assert_eq!(mocked.stop(), Some(0));
    assert_eq!(heads.lock().unwrap().len(), asked, "nobody was asked");
}

#[test]
fn what_cannot_stand_in_is_said_at_the_start() {
    let folder = Folder::new();
    write_app(&folder, "https://origin.invalid");
    let says = |arguments: &[&str], expected: &str| {
        let ended = folder.run(&[&["dev", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_ne!(ended.status, Some(0));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    };
    says(&["--mock", "vision=a.toml"], "the app has no upstream `vision`: it has `origin`");
    says(&["--mock", "origin=a.toml"], "cannot read");
    says(&["--mock", "origin"], "vision=fixtures/vision.toml");
    folder.write("a.toml", "[[reply]]\npath = \"a\"\n");
    says(&["--mock", "origin=a.toml"], "begins with a slash");
    folder.write("a.toml", "");
    says(&["--mock", "origin=a.toml", "--record", "origin=b.toml"], "two stand-ins");
}
