//! Tests of a disk that fills up, on a file system of the test's own. They want root, to mount it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use forename::model::{ProblemType, Status};

use crate::support::process::{Home, Process, Serve};
use crate::support::{claim, eventually, same, skipped, try_claim, user, user_final};

/// A file system in memory, which is unmounted when this value is dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounts it.
    ///
    /// # Errors
    /// The reason why that cannot be done on this machine.
    fn mount(at: &Path, megabytes: u64) -> Result<Self, String> {
        let size = format!("size={megabytes}m,mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "forename-test"]).arg(at).output();
        let mount = mount.map_err(|error| format!("mount: {error}"))?;
        match mount.status.success() {
            true => Ok(Self(at.to_owned())),
            false => Err(String::from_utf8_lossy(&mount.stderr).trim().to_owned()),
        }
    }

    /// Fills the disk with a file of this size.
    fn fill(&self, megabytes: usize) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        let block = vec![1; 1 << 20];
        (0..megabytes).for_each(|_| file.write_all(&block).unwrap());
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process of the test that still runs keeps it, until it is killed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_registrations_and_goes_on_by_itself() {
    let home = Home::new();
    let disk = match Disk::mount(home.data().parent().unwrap(), 400) {
        Ok(disk) => disk,
        Err(why) => return skipped(&format!("no file system can be mounted: {why}")),
    };
    let serve = Serve::new("a").with(&["--min-free".to_owned(), (150 << 20).to_string()]);
    let node = Process::start(&home, &serve).await;
    let kept = claim(&node.client, &user_final("kept", "ann")).await;
    assert_eq!(kept.status, Status::Confirmed);

    let filler = disk.fill(250);
    let problem = eventually("registrations are refused", async || {
        let refused = node.client.register(&user("refused", "bob")).await.err();
        let problem = refused.and_then(|error| error.problem().cloned());
        problem.filter(|problem| problem.problem_type == ProblemType::DiskLow).ok_or_else(|| "it is not low".to_owned())
    })
    .await;
    assert_eq!(problem.status, 507);
    assert!(problem.detail.contains("nothing was registered"), "{problem}");
    let ready = node.client.ready().await.unwrap_err();
    assert_eq!(ready.problem().unwrap().problem_type, ProblemType::DiskLow);
    // Queries and releases are still answered.
    assert_eq!(node.client.registration(kept.id).await.unwrap().status, Status::Confirmed);
    node.client.release(kept.id).await.unwrap();

    std::fs::remove_file(filler).unwrap();
    eventually("registrations are taken again", async || {
        node.client.register(&user("taken", "bob")).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    eventually("it is ready", async || same(&node.client.ready().await.is_ok(), &true)).await;
    drop(node);
    // The directory is as good as ever.
    let node = Process::start(&home, &serve).await;
    let again = eventually("the name is free", async || {
        try_claim(&node.client, &user_final("kept", "cid")).await.ok_or_else(|| "it is not".to_owned())
    })
    .await;
    assert_eq!(again.status, Status::Confirmed);
    drop(node);
    drop(disk);
}
