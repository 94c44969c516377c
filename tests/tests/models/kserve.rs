//! A real KServe server as the cloud of a node, and `tritonclient`, unmodified, as the client of that node.

mod slow {
    use crate::python::{python, script, succeeds};
    use rimward_tests::{declared, node};
    use std::net::TcpListener;
    use std::process::{Child, Command, Stdio};

    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            // It may have ended by itself, which its client has told by then.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn free_port() -> u16 {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        free.expect("a port is free").port()
    }

    #[tokio::test]
    async fn tritonclient_gets_the_same_bits_through_a_node_as_from_kserve() {
        let python = tokio::task::spawn_blocking(python).await.expect("it is made");
        let (http, grpc) = (free_port(), free_port());
        let mut server = Command::new(&python);
        server.arg(script("kserve_server.py")).arg(http.to_string()).arg(grpc.to_string());
        server.stdout(Stdio::null()).stderr(Stdio::null());
        let _server = Server(server.spawn().expect("it starts"));
        let ways =
            [(http, ""), (http, ", protocol = 'oip-http', binary = true"), (grpc, ", protocol = 'oip-grpc'")];
        for (port, protocol) in ways {
            let text = format!(
                "[app]\nname = 'edge'\n[function.asks]\ncomponent = 'model'\nmodels = ['classifier']\n\
                 limits = {{ wall = '60s', cpu = '20s' }}\n\
                 [[trigger.http]]\nroute = '/*rest'\nfunction = 'asks'\n\
                 [model.classifier]\ndeadline = '30s'\n\
                 remote = {{ upstream = 'cloud', model = 'double'{protocol} }}\n"
            );
            let app = declared(&text).upstream_at("cloud", &format!("http://127.0.0.1:{port}"), "");
            let node = node().app(app).offers_models(None).start().await;
            let (models, function) = (node.models().to_string(), node.address().to_string());
            let mut client = Command::new(&python);
            client.arg(script("triton_client.py"));
            client.args([format!("127.0.0.1:{http}"), format!("127.0.0.1:{grpc}")]);
            client.args([&models, &models, &function]);
            let said = tokio::task::spawn_blocking(move || succeeds(&mut client));
            assert_eq!(said.await.expect("it ends").trim(), "alike");
        }
    }
}
