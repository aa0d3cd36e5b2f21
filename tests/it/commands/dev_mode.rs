//! `sallyport dev`: the lines that it prints, and its end.

use super::*;

#[tokio::test]
async fn dev_mode_survives_its_own_kill_and_ends_with_everything_it_started() {
    let folder = own_folder();
    let dev = DevMode::in_folder(folder.path());

    let mut first = dev.start().await;
    let registered = dev.post(
        "/api/auth/register",
        r#"{"email":"a@example.com","username":"alice","password":"SecurePass123!"}"#,
    );
    assert!(registered.starts_with("HTTP/1.1 201"), "{registered}");

    let second = dev.command(free_port(), free_port()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains(&format!("in use by process {}", first.id())));

    first.kill().unwrap();
    first.wait().unwrap();
    let mut next = dev.start().await;
    let login = dev.post(
        "/api/auth/login",
        r#"{"emailOrUsername":"alice","password":"SecurePass123!"}"#,
    );
    assert!(login.starts_with("HTTP/1.1 200"), "{login}");

    let stores = [dev.store_port("redis"), dev.store_port("postgres")];
    for port in stores {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "{port}");
    }
    let pid = Pid::from_raw(i32::try_from(next.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(next.wait().unwrap().success());
    for port in stores {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{port}");
    }
}

#[tokio::test]
async fn the_lines_that_dev_mode_prints_work_as_they_are_pasted() {
    let folder = own_folder();
    let dev = DevMode::in_folder(folder.path());
    let mut running = dev.start().await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains("\n{\""), "the log is text: {log}");
    let is_command = |line: &&str| {
        let names = ["  curl ", "  TOKEN=", "  SECRET=", "  BACKUP=", "  TEMP="];
        names.iter().any(|name| line.starts_with(name))
    };
    let lines: Vec<&str> = log.lines().filter(is_command).collect();
    assert_eq!(lines.len(), 12, "{log}");
    // On a second run the account is there already; all else is as before.
    for registered in ["201 Created", "409 Conflict"] {
        let output = Command::new("sh")
            .args(["-c", &lines.join("\n")])
            .output()
            .unwrap();
        let told = text(&output);
        assert!(
            told.starts_with(&format!("HTTP/1.1 {registered}")),
            "{told}"
        );
        let failures =
            ["HTTP/1.1 4", "HTTP/1.1 5", "\"code\":"].map(|part| told.matches(part).count());
        let (expected, tokens) = match registered {
            "201 Created" => ([0, 0, 0], 4),
            _ => ([1, 0, 1], 3),
        };
        assert_eq!(failures, expected, "{told}");
        assert_eq!(
            told.matches("\"accessToken\":").count(),
            tokens,
            "the registration, two logins and a refresh: {told}"
        );
        assert!(told.contains("sallyport_logins_total"), "{told}");
        assert!(
            !told.contains("base64"),
            "the picture floods the terminal: {told}"
        );
    }
    running.kill().unwrap();
    running.wait().unwrap();
}

/// `sallyport dev` in a folder, always on the same ports.
struct DevMode<'a> {
    folder: &'a Path,
    port: u16,
    admin: u16,
}

impl<'a> DevMode<'a> {
    fn in_folder(folder: &'a Path) -> Self {
        Self {
            folder,
            port: free_port(),
            admin: free_port(),
        }
    }

    fn command(&self, port: u16, admin: u16) -> Command {
        let data = self.folder.join("data").display().to_string();
        let variables = [
            ("DATA_DIR", data),
            ("PORT", port.to_string()),
            ("ADMIN_ADDR", format!("127.0.0.1:{admin}")),
        ];
        let mut command = sallyport(&["dev"], &variables);
        command.stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it says that it is ready.
    async fn start(&self) -> Child {
        let mut command = self.command(self.port, self.admin);
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        while !self.is_ready() {
            let ended = child.try_wait().unwrap();
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(ended.is_none(), "{log}");
            clock::sleep(Duration::from_millis(20)).await;
        }
        child
    }

    fn is_ready(&self) -> bool {
        let admin = [("ADMIN_ADDR", format!("127.0.0.1:{}", self.admin))];
        let asked = sallyport(&["healthcheck"], &admin).output().unwrap();
        asked.status.success()
    }

    fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.port
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn store_port(&self, store: &str) -> u16 {
        let file = self.folder.join("data").join(store).join("port");
        std::fs::read_to_string(file).unwrap().parse().unwrap()
    }
}
