//! Help reads well to a stranger, and changes only when that is meant.

use crate::harness::Folder;

fn check(command: &[&str], golden: &str) {
    let arguments: Vec<_> = command.iter().copied().chain(["--help"]).collect();
    Folder::new().run(&arguments).succeeds().is_golden(golden);
}

#[test]
fn help_says_what_each_command_does() {
    check(&[], "help");
    for command in
        ["new", "build", "check", "test", "dev", "invoke", "serve", "status", "doctor", "completions"]
    {
        check(&[command], &format!("help-{command}"));
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = Folder::new();
    folder.run(&["sevre"]).is_golden("usage-unknown-command");
    folder.run(&["new", "x", "--template", "grpc"]).is_golden("usage-unknown-template");
    folder.run(&["dev", "--listen", "example.com"]).is_golden("usage-bad-address");
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Folder::new().run(&["completions", shell]).succeeds().stdout;
        assert!(script.contains("rimward") && script.contains("doctor"), "{shell}");
        assert!(!script.contains("compile-component,"), "{shell}");
    }
}
