//! Signatures and keys: who vouches for a revision, and every way in which nobody does.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rimward_bundle::limits::{PAYLOAD_BYTES_MAX, SIGNATURES_MAX};
use rimward_bundle::{
    Algorithm, Bundle, Claim, Digest, KeyError, Layout, PrivateKey, PublicKey, Refused, Signature,
    SignatureError, Trust, TrustedKey, signature,
};

const DAY: Duration = Duration::from_secs(86_400);

/// The time of these tests.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::P256).unwrap()
}

fn revision() -> Digest {
    Digest::of(b"revision")
}

fn claim() -> Claim {
    Claim { revision: revision(), identity: "shop".into(), signed_at: Some(now()), expires: None }
}

fn signed(claim: &Claim, key: &PrivateKey) -> Signature {
    Signature::sign(claim, key).unwrap()
}

fn trusting(key: &PrivateKey) -> Trust {
    let key = TrustedKey { name: "release".into(), key: key.public(), until: None };
    Trust { keys: vec![key], revoked: BTreeSet::new() }
}

#[test]
fn a_trusted_key_vouches_for_what_it_signed() {
    for algorithm in [Algorithm::P256, Algorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let vouched = trusting(&key).verify(&revision(), &[signed(&claim(), &key)], now()).unwrap();
        assert_eq!((vouched.key.as_str(), vouched.id), ("release", key.public().id()));
        assert_eq!(vouched.claim, claim());
    }
}

/// D4: unsigned, signed by somebody else, for something else, with a key that was taken back or whose time is up.
#[test]
fn nobody_else_vouches_and_the_reason_is_told() {
    let (ours, other) = (key(), key());
    let refused =
        |trust: &Trust, signatures: &[Signature]| trust.verify(&revision(), signatures, now()).unwrap_err();
    let good = signed(&claim(), &ours);
    let release = || "release".to_owned();
    assert_eq!(refused(&trusting(&ours), &[]), Refused::Unsigned);
    assert_eq!(refused(&Trust::default(), std::slice::from_ref(&good)), Refused::UnknownKey(1));
    assert_eq!(refused(&trusting(&ours), &[signed(&claim(), &other)]), Refused::UnknownKey(1));

    let elsewhere = Digest::of(b"another");
    let moved = signed(&Claim { revision: elsewhere, ..claim() }, &ours);
    let other_revision = Refused::OtherRevision { key: release(), signed: elsewhere };
    assert_eq!(refused(&trusting(&ours), &[moved]), other_revision);

    let text = Bytes::from_static(b"{\"I agree to\":\"your terms\"}");
    let contract = Signature { signature: ours.sign(&text).unwrap(), payload: text };
    assert_eq!(refused(&trusting(&ours), &[contract]), Refused::NotASignature(release()));

    let mut revoking = trusting(&ours);
    revoking.revoked.insert(ours.public().id());
    assert_eq!(refused(&revoking, std::slice::from_ref(&good)), Refused::Revoked(release()));

    let mut ended = trusting(&ours);
    ended.keys[0].until = Some(now() - DAY);
    assert_eq!(refused(&ended, std::slice::from_ref(&good)), Refused::KeyEnded(release()));
    let before = signed(&Claim { signed_at: Some(now() - 2 * DAY), ..claim() }, &ours);
    assert!(ended.verify(&revision(), &[before], now()).is_ok(), "it signed while it was in use");
    let undated = signed(&Claim { signed_at: None, ..claim() }, &ours);
    assert_eq!(refused(&ended, &[undated]), Refused::KeyEnded(release()));
}

/// D6: a signature has an end, to the second.
#[test]
fn a_signature_expires() {
    let key = key();
    let short = signed(&Claim { expires: Some(now()), ..claim() }, &key);
    let verify = |at| trusting(&key).verify(&revision(), std::slice::from_ref(&short), at);
    assert!(verify(now() - Duration::from_secs(1)).is_ok());
    assert_eq!(verify(now()).unwrap_err(), Refused::Expired("release".into()));
}

/// D4: no bit of what was signed or of the signature can be another.
#[test]
fn a_changed_signature_is_nobodys() {
    for algorithm in [Algorithm::P256, Algorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let (trust, good) = (trusting(&key), signed(&claim(), &key));
        for at in 0..good.payload.len() {
            let mut payload = good.payload.to_vec();
            payload[at] ^= 1;
            let changed = Signature { payload: payload.into(), ..good.clone() };
            assert_eq!(trust.verify(&revision(), &[changed], now()), Err(Refused::UnknownKey(1)));
        }
        for at in 0..good.signature.len() {
            let mut changed = good.clone();
            changed.signature[at] ^= 1;
            assert_eq!(trust.verify(&revision(), &[changed], now()), Err(Refused::UnknownKey(1)));
            let mut cut = good.clone();
            cut.signature.truncate(at);
            assert_eq!(trust.verify(&revision(), &[cut], now()), Err(Refused::UnknownKey(1)));
        }
    }
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let (old, new) = (key(), key());
    let both = [signed(&claim(), &old), signed(&claim(), &new)];
    assert!(trusting(&new).verify(&revision(), &both, now()).is_ok());
    let mut rotated = trusting(&old);
    rotated.revoked.insert(old.public().id());
    rotated.keys.push(TrustedKey { name: "new".into(), key: new.public(), until: None });
    assert_eq!(rotated.verify(&revision(), &both, now()).unwrap().key, "new");
}

#[test]
fn the_reason_that_is_nearest_to_being_right_is_told() {
    let (ours, other) = (key(), key());
    let expired = signed(&Claim { expires: Some(now() - DAY), ..claim() }, &ours);
    let all =
        [signed(&claim(), &other), expired, signed(&Claim { revision: Digest::of(b"x"), ..claim() }, &ours)];
    assert_eq!(trusting(&ours).verify(&revision(), &all, now()), Err(Refused::Expired("release".into())));
}

/// The payloads of `image`, by digest.
fn payloads(image: &signature::SignatureImage) -> BTreeMap<Digest, Bytes> {
    image.blobs.iter().map(|blob| (Digest::of(blob), blob.clone())).collect()
}

#[test]
fn signatures_travel_as_an_image() {
    let signatures = [signed(&claim(), &key()), signed(&claim(), &key())];
    let image = signature::image(&signatures);
    assert_eq!(signature::read(&image.manifest, &payloads(&image)).unwrap(), signatures);
    let without = signature::read(&image.manifest, &BTreeMap::new());
    assert!(matches!(without, Err(SignatureError::Blob(_))));
}

#[test]
fn an_image_of_signatures_may_fill_its_bounds_and_no_more() {
    let one = signed(&claim(), &key());
    let many = |count| signature::blobs(&signature::image(&vec![one.clone(); count]).manifest);
    assert_eq!(many(SIGNATURES_MAX).unwrap().len(), SIGNATURES_MAX);
    assert!(matches!(many(SIGNATURES_MAX + 1), Err(SignatureError::TooMany)));
    let large = |bytes: u64| {
        let payload = Bytes::from(vec![b' '; usize::try_from(bytes).unwrap()]);
        signature::blobs(&signature::image(&[Signature { payload, signature: vec![1] }]).manifest)
    };
    assert!(large(PAYLOAD_BYTES_MAX).is_ok());
    assert!(matches!(large(PAYLOAD_BYTES_MAX + 1), Err(SignatureError::Payload)));
}

#[test]
fn a_layout_carries_the_signatures_of_its_app() {
    let component = Bytes::from_static(b"\0asm\x0d\0\x01\0");
    let bundle = Bundle::from_component("shop".parse().unwrap(), component).unwrap();
    let key = key();
    let signature = signed(&Claim { revision: bundle.revision, ..claim() }, &key);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.tar");
    Layout::of(&bundle, &[signature]).write(fs::File::create(&path).unwrap()).unwrap();
    let (read, signatures) = Layout::read(&path).unwrap().bundle(&"shop".parse().unwrap()).unwrap();
    assert!(trusting(&key).verify(&read.revision, &signatures, now()).is_ok());
}

#[test]
fn keys_are_written_and_read_in_one_form() {
    for algorithm in [Algorithm::P256, Algorithm::Ed25519] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let again = PrivateKey::parse(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::parse(&key.public().to_pem()).unwrap(), key.public());
        assert_eq!(again.public().algorithm(), algorithm);
        assert!(!format!("{key:?}").contains(&key.to_pem()[40..60]), "a private key is not printed");
    }
}

#[test]
fn something_else_is_told_with_the_way_out() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let private = |label: &str| PrivateKey::parse(&pem(label)).unwrap_err().to_string();
    assert!(private("EC PRIVATE KEY").contains("openssl pkcs8"));
    assert!(private("ENCRYPTED PRIVATE KEY").contains("password"));
    assert!(private("ENCRYPTED SIGSTORE PRIVATE KEY").contains("cosign"));
    assert!(PublicKey::parse(&pem("CERTIFICATE")).unwrap_err().to_string().contains("openssl x509"));
    assert!(matches!(PublicKey::parse(&pem("PUBLIC KEY")), Err(KeyError::Algorithm)));
    assert!(matches!(PrivateKey::parse(&pem("PRIVATE KEY")), Err(KeyError::Algorithm)));
    assert!(matches!(PublicKey::parse("nothing"), Err(KeyError::Pem(_))));
}

/// What OpenSSL makes is understood, and what is made here is understood by OpenSSL.
#[test]
fn openssl_makes_and_verifies_the_same_keys_and_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(&folder).output();
        let Ok(output) = output else { return None };
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    };
    for (make, sign) in [
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem", "dgst -sha256"),
        ("genpkey -algorithm ED25519 -out key.pem", ""),
    ] {
        // A machine without it does not show this; CI's has it.
        let Some(_) = run(make) else { return };
        let key = PrivateKey::parse(&fs::read_to_string(folder.path().join("key.pem")).unwrap()).unwrap();
        let public = run("pkey -in key.pem -pubout").unwrap();
        assert_eq!(PublicKey::parse(&public).unwrap(), key.public());
        let ours = signed(&claim(), &key);
        let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        file("payload", &ours.payload);
        file("signature", &ours.signature);
        file("public.pem", key.public().to_pem().as_bytes());
        let (verify, make) = if sign.is_empty() {
            (
                "pkeyutl -verify -pubin -inkey public.pem -rawin -in payload -sigfile signature",
                "pkeyutl -sign -inkey key.pem -rawin -in payload -out theirs",
            )
        } else {
            (
                "dgst -sha256 -verify public.pem -signature signature payload",
                "dgst -sha256 -sign key.pem -out theirs payload",
            )
        };
        run(verify);
        run(make);
        let theirs = Signature { signature: fs::read(folder.path().join("theirs")).unwrap(), ..ours };
        assert!(trusting(&key).verify(&revision(), &[theirs], now()).is_ok());
    }
}

/// A signature as cosign writes it: another order of keys, spaces, a reference, more of its own.
#[test]
fn what_cosign_says_is_understood() {
    let payload = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/shop"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":{{"creator":"ci","commit":{{"id":1}}}}}}"#,
        revision()
    );
    let check = |payload: String| {
        let key = key();
        let payload = Bytes::from(payload);
        let signature = Signature { signature: key.sign(&payload).unwrap(), payload };
        let vouched = trusting(&key).verify(&revision(), &[signature], now()).unwrap();
        assert_eq!(vouched.claim.identity, "registry.example/shop");
        assert_eq!((vouched.claim.signed_at, vouched.claim.expires), (None, None));
    };
    check(payload.replace(r#"{"creator":"ci","commit":{"id":1}}"#, "null"));
    check(payload);
}
