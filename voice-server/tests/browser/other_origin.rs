//! A page of somebody else that imports the reference client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use crate::server::Server;
use crate::webdriver::Driver;

/// Serves one page from an origin of its own until the test's process ends.
fn serve(server: SocketAddr) -> SocketAddr {
    let page = format!(
        "<!doctype html><title>Elsewhere</title><link rel=icon href=data:,><script type=module>
        import {{ VoiceCall }} from 'http://{server}/voice-client.js';
        window.heard = [];
        window.call = new VoiceCall({{ microphone: false }});
        for (const type of ['reply', 'turn', 'sound', 'state']) call.addEventListener(type, ({{ detail }}) => heard.push({{ type, ...detail }}));
        await call.start();
        call.say('Which homes have a garden?');
        </script>"
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4_096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: ";
            let _ = write!(stream, "{head}{}\r\n\r\n{page}", page.len());
        }
    });
    address
}

/// It needs nothing of the server but its address: the call goes where the client came from.
pub(crate) fn a_page_of_another_origin_imports_the_client(server: &Server, driver: &Driver) {
    let browser = driver.browser("elsewhere");
    browser.open(&format!("http://{}/", serve(server.address)));
    browser.wait(
        "sound",
        "return window.heard?.some(({ type, playedMs }) => type === 'sound' && playedMs > 500)",
    );
    browser.wait("the answer", "return window.heard.some(({ type }) => type === 'reply')");
    browser.run("call.hangUp()");
    browser.wait("the end", "return window.heard.some(({ state }) => state === 'ended')");
    assert_eq!(browser.console_errors(), Vec::<serde_json::Value>::new());
}
