//! Joining a federation: once, with an invitation. Afterwards the node's key is all that it needs.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use commonweal_core::{ClientName, NameError};
use commonweal_disk::file::{FileError, write_bytes};
use commonweal_wire::{JoinString, NodeKey, RefusalCode, ServerIdentity, path, proto};
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::backoff::{Backoff, Pace};
use crate::clock::now_ms;
use crate::connection::{CALL, CallError, Connection};
use crate::folder::{FolderError, NodeFolder, write_private};
use crate::membership::{Membership, MembershipError, quoted, read_key};
use crate::record::{Record, RecordEntry, RecordError};
use crate::runtime::{RuntimeError, runtime};
use crate::settings::{Accept, Settings, SettingsError};
use crate::statement::statement;
use crate::trust::{Trust, TrustError};

/// How to join.
#[derive(Debug)]
pub struct Join {
    /// What the administrator sent.
    pub string: JoinString,
    /// The name to ask for; an invitation that carries a name overrides it.
    pub name: Option<String>,
    /// Certificates to trust besides the machine's, such as a proxy's.
    pub ca_file: Option<PathBuf>,
    /// What to write to `node.toml` where there is none.
    pub consent: Option<Consent>,
}

/// What the owner of the data decides on joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Which runs may use the data.
    pub accept: Accept,
    /// The fewest nodes in a round that this one takes part in.
    pub smallest_cohort: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// The node's name in every run.
    pub name: String,
    /// The server's address.
    pub server: String,
    /// Fingerprint of the federation's authority; none for a server with a certificate of its own.
    pub authority: Option<String>,
    /// Fingerprint of the node's key, which the server shows too.
    pub fingerprint: String,
    /// Whether an administrator has to approve the key first.
    pub waits_for_approval: bool,
    /// The node's directory.
    pub folder: PathBuf,
    /// Whether `node.toml` was written.
    pub wrote_settings: bool,
}

/// Why the node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It has joined before.
    #[error(
        "{} is the node {name} of {url} already: leave that federation first with `commonweal node leave`, \
         or join with another directory", folder.display()
    )]
    AlreadyJoined {
        /// The directory.
        folder: PathBuf,
        /// The node's name.
        name: String,
        /// The server.
        url: String,
    },
    /// The invitation is no good.
    #[error(
        "the server does not accept this invitation: it was used, it has expired, or it is another server's. \
         Ask its administrator for a new one"
    )]
    Token,
    /// Somebody has that name.
    #[error("the name {name:?} is taken: choose another with `--name`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No name to ask for.
    #[error("this machine has no name that would do: say how the node is called, with `--name`")]
    NoName,
    /// Nobody said whether runs may use the data.
    #[error("say which runs may use the data: `--accept ask` or `--accept all`")]
    NoConsent,
    /// The server's name for the node is none.
    #[error("the server gives the node a name that is none: {0}")]
    Name(#[from] NameError),
    /// No secret randomness for a key.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
    /// The server cannot be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server cannot be reached or refuses.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The directory's own files.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// Another process works with the directory.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// `node.toml` is faulty.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No thread to wait on.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Joins with the directory `folder`: makes the node's key, shows the server the invitation, and writes down which
/// server it is. Nothing is written but the key before the server has agreed.
///
/// # Errors
/// [`JoinError`], which says what to do.
pub fn join(folder: &NodeFolder, join: Join) -> Result<Joined, JoinError> {
    folder.create()?;
    let _lock = folder.lock()?;
    refuse_second(folder)?;
    let settings = settings_of(folder, &join)?;
    let name = match join.name {
        Some(name) => name,
        None => machine_name().ok_or(JoinError::NoName)?,
    };
    let key = key_of(folder)?;
    let ca_file = join
        .ca_file
        .as_deref()
        .or(settings.parsed.ca_file.as_deref());
    let JoinString {
        url, server, token, ..
    } = join.string;
    let trust = Trust::new(server.clone(), &url, ca_file)?;
    let request = proto::JoinRequest {
        token: token.as_bytes().to_vec(),
        public_key: key.public().to_bytes().to_vec(),
        name: name.clone(),
        statement: Some(statement(&settings.parsed)),
    };
    let fingerprint = key.public().id().to_string();
    let connection = Connection::new(&url, trust, key)?;
    let answer = runtime()?.block_on(ask(&connection, &request));
    let answer = answer.map_err(|error| match error.code() {
        Some(RefusalCode::Token) => JoinError::Token,
        Some(RefusalCode::NameTaken) => JoinError::NameTaken { name },
        _ => error.into(),
    })?;
    let membership = Membership {
        url,
        server,
        name: ClientName::try_from(answer.name)?,
    };
    finish(folder, &membership, &settings, &fingerprint)?;
    Ok(Joined {
        name: membership.name.to_string(),
        authority: match membership.server {
            ServerIdentity::Authority(digest) => Some(digest.to_string()),
            ServerIdentity::Name(_) => None,
        },
        server: membership.url,
        fingerprint,
        waits_for_approval: answer.waits_for_approval,
        folder: folder.path().to_path_buf(),
        wrote_settings: settings.new.is_some(),
    })
}

/// `node.toml` as it is, or as it will be written.
struct SettingsFile {
    parsed: Settings,
    new: Option<String>,
}

fn settings_of(folder: &NodeFolder, join: &Join) -> Result<SettingsFile, JoinError> {
    let path = folder.settings();
    if path.is_file() {
        let parsed = Settings::read(&path)?;
        return Ok(SettingsFile { parsed, new: None });
    }
    let consent = join.consent.as_ref().ok_or(JoinError::NoConsent)?;
    let text = template(consent, join.ca_file.as_deref());
    let parsed = Settings::parse(&text, &path).map_err(SettingsError::from)?;
    Ok(SettingsFile {
        parsed,
        new: Some(text),
    })
}

fn finish(
    folder: &NodeFolder,
    membership: &Membership,
    settings: &SettingsFile,
    fingerprint: &str,
) -> Result<(), JoinError> {
    if let Some(text) = &settings.new {
        write_bytes(&folder.settings(), text.as_bytes())?;
    }
    // Nobody agreed to a run of this federation yet: what is there is of another.
    folder.forget_runs()?;
    membership.write(folder)?;
    let entry = RecordEntry::Joined {
        server: membership.url.clone(),
        name: membership.name.to_string(),
        key: fingerprint.to_owned(),
    };
    Ok(Record::of(folder).append(now_ms(), entry)?)
}

fn refuse_second(folder: &NodeFolder) -> Result<(), JoinError> {
    match Membership::read(folder) {
        Ok((membership, _)) => Err(JoinError::AlreadyJoined {
            folder: folder.path().to_path_buf(),
            name: membership.name.to_string(),
            url: membership.url,
        }),
        Err(MembershipError::NotJoined { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The key of an attempt before this one, or a new one.
fn key_of(folder: &NodeFolder) -> Result<NodeKey, JoinError> {
    match read_key(folder) {
        Err(MembershipError::File(FileError::Missing { .. })) => {}
        key => return Ok(key?),
    }
    let mut secret = Zeroizing::new([0; 32]);
    SysRng
        .try_fill_bytes(&mut *secret)
        .map_err(|_| JoinError::NoEntropy)?;
    let key = NodeKey::from_secret(&secret);
    write_private(&folder.key(), key.to_text().as_bytes())?;
    Ok(key)
}

/// Asks a few times: a network that stumbles once should not cost an invitation.
async fn ask(
    connection: &Connection,
    request: &proto::JoinRequest,
) -> Result<proto::JoinAnswer, CallError> {
    let mut backoff = Backoff::new(Pace::NETWORK);
    for _ in 0..2 {
        match connection.post(path::JOIN, request, CALL).await {
            Err(CallError::Unreachable { .. }) => tokio::time::sleep(backoff.next()).await,
            answer => return answer,
        }
    }
    connection.post(path::JOIN, request, CALL).await
}

/// This machine's own name, without its domain.
fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok())?;
    let name = name.trim().split('.').next()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// A first `node.toml`.
fn template(consent: &Consent, ca_file: Option<&Path>) -> String {
    let mut text = "# What this node allows, and where its data lie. `docs/deploy.md` describes every key.\n\n".to_owned();
    let accept = match &consent.accept {
        Accept::Ask => quoted("ask"),
        Accept::All => quoted("all"),
        Accept::Manifests(digests) => {
            let digests: Vec<String> = digests
                .iter()
                .map(|digest| quoted(&digest.to_string()))
                .collect();
            format!("[{}]", digests.join(", "))
        }
    };
    let _ = writeln!(text, "accept = {accept}");
    let _ = writeln!(text, "smallest_cohort = {}", consent.smallest_cohort);
    if let Some(path) = ca_file {
        // The file lies where the owner was on joining, which need not be the node's directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let _ = writeln!(text, "ca_file = {}", quoted(&path.display().to_string()));
    }
    text.push_str(
        "\n# memory_mb = 2000\n# hours = \"18:00-06:00\"\n# labels = { site = \"eu\" }\n\n\
         # [data.heart]\n# path = \"patients.csv\"\n# columns = { \"Alter\" = \"age\" }   # the file's column = the job's\n\n\
         # [trainers.torch]\n# command = [\"python3\", \"train.py\"]\n",
    );
    text
}

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This is the node {} of {}.", self.name, self.server)?;
        writeln!(f, "Its key's fingerprint is {}.", self.fingerprint)?;
        match self.waits_for_approval {
            true => writeln!(
                f,
                "An administrator has to approve it: tell them this fingerprint, by telephone or in person."
            )?,
            false => writeln!(
                f,
                "`commonweal server nodes` shows the same fingerprint there."
            )?,
        }
        let settings = self.folder.join("node.toml");
        writeln!(
            f,
            "Say in {} where the data lie, then start it with `commonweal node run`.",
            settings.display()
        )?;
        write!(f, "The invitation is used up and not needed again.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Identity, Scripted};
    use crate::trust::Unverified;

    #[test]
    fn a_first_settings_file_says_what_the_owner_decided() {
        for accept in [
            Accept::Ask,
            Accept::All,
            Accept::Manifests([commonweal_core::Digest::of(b"a")].into()),
        ] {
            let consent = Consent {
                accept: accept.clone(),
                smallest_cohort: 4,
            };
            let text = template(&consent, Some(Path::new("/etc/ssl/proxy.pem")));
            let settings = Settings::parse(&text, Path::new("node.toml")).unwrap();
            assert_eq!(
                settings.ca_file.as_deref(),
                Some(Path::new("/etc/ssl/proxy.pem"))
            );
            assert_eq!(settings.accept, accept);
            assert_eq!(settings.smallest_cohort, 4);
        }
    }

    fn how(server: &Scripted) -> Join {
        Join {
            string: server.invitation(),
            name: Some("hospital-a".to_owned()),
            ca_file: None,
            consent: Some(Consent {
                accept: Accept::Ask,
                smallest_cohort: 3,
            }),
        }
    }

    fn folder() -> (tempfile::TempDir, NodeFolder) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = NodeFolder::at(temporary.path().join("node"));
        (temporary, folder)
    }

    #[test]
    fn a_node_joins_once_and_needs_the_invitation_never_again() {
        let server = Scripted::start();
        let (_temporary, folder) = folder();
        let joined = join(&folder, how(&server)).unwrap();
        assert_eq!(joined.name, "hospital-a");
        assert_eq!(joined.authority, Some(server.authority.to_string()));
        let (membership, key) = Membership::read(&folder).unwrap();
        assert_eq!(membership.url, server.url);
        assert_eq!(joined.fingerprint, key.public().id().to_string());
        {
            let script = server.script();
            let [request] = &script.joins[..] else {
                panic!("joins once");
            };
            assert_eq!(request.token, [9; 32]);
            assert_eq!(request.public_key, key.public().to_bytes());
        }
        let token = commonweal_wire::Token::from_bytes([9; 32]);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(32).any(|window| window == token.as_bytes()));
        }
        let again = join(&folder, how(&server)).unwrap_err();
        assert!(matches!(again, JoinError::AlreadyJoined { .. }), "{again}");
        let lines = Record::of(&folder).verify().unwrap();
        assert!(matches!(
            lines[..],
            [crate::record::RecordLine {
                entry: RecordEntry::Joined { .. },
                ..
            }]
        ));
    }

    #[test]
    fn another_federations_server_is_told_from_a_proxy_that_looks_into_tls() {
        let (_temporary, folder) = folder();
        let wanted = Scripted::start();
        let refused = |identity: &Identity| {
            let other = Scripted::start_as(identity);
            let string = JoinString {
                url: other.url.clone(),
                ..wanted.invitation()
            };
            let error = join(
                &folder,
                Join {
                    string,
                    ..how(&wanted)
                },
            )
            .unwrap_err();
            assert!(other.script().joins.is_empty(), "the token stays here");
            (other.authority, error)
        };
        let (authority, error) = refused(&Identity::Federation);
        let JoinError::Call(CallError::Unverified(Unverified::OtherAuthority {
            expected,
            found,
            ..
        })) = error
        else {
            panic!("{error}");
        };
        assert_eq!((expected, found), (wanted.authority, Some(authority)));
        let (_, error) = refused(&Identity::Proxy);
        let JoinError::Call(CallError::Unverified(Unverified::Inspected { issuer, .. })) = &error
        else {
            panic!("{error}");
        };
        assert!(issuer.contains("ACME Inspection CA"), "{issuer}");
        // Nothing but the key is left, and the same key joins later.
        let key = std::fs::read(folder.key()).unwrap();
        join(&folder, how(&wanted)).unwrap();
        assert_eq!(std::fs::read(folder.key()).unwrap(), key);
    }

    #[test]
    fn a_proxy_that_looks_into_tls_and_a_certificate_of_the_operators_own_can_be_trusted() {
        let inspected = Scripted::start_as(&Identity::Proxy);
        let (temporary, _) = folder();
        let ca_file = temporary.path().join("ca.pem");
        std::fs::write(&ca_file, &inspected.authority_pem).unwrap();
        let pinned = Scripted::start().authority;
        let identities = [
            // The federation's own authority, behind a proxy which shows a certificate of its own.
            ServerIdentity::Authority(pinned),
            ServerIdentity::Name("127.0.0.1".to_owned()),
        ];
        for (at, server) in identities.into_iter().enumerate() {
            let folder = NodeFolder::at(temporary.path().join(at.to_string()));
            let string = JoinString {
                server,
                ..inspected.invitation()
            };
            let how = |ca_file| Join {
                string: string.clone(),
                ca_file,
                ..how(&inspected)
            };
            let error = join(&folder, how(None)).unwrap_err();
            assert!(error.to_string().contains("ACME Inspection CA"), "{error}");
            join(&folder, how(Some(ca_file.clone()))).unwrap();
        }
    }

    #[test]
    fn an_invitation_that_is_used_up_says_so_and_leaves_no_membership() {
        let server = Scripted::start();
        let (_temporary, folder) = folder();
        for (code, expected) in [
            (RefusalCode::Token, "new one"),
            (RefusalCode::NameTaken, "\"hospital-a\" is taken"),
        ] {
            let refusal = commonweal_wire::refusal(code, "no", now_ms());
            server.script().refusals.push_back((path::JOIN, refusal));
            let error = join(&folder, how(&server)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!folder.server().exists() && !folder.settings().exists());
        }
    }

    #[test]
    fn nothing_is_decided_for_the_owner() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = NodeFolder::at(temporary.path());
        let how = Join {
            consent: None,
            ..how(&Scripted::start())
        };
        let settings = settings_of(&folder, &how);
        assert!(matches!(settings, Err(JoinError::NoConsent)));
    }
}
